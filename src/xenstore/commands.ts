import type { LunError } from '../core/error.ts'
import type { Command, CommandResult } from '../host/command.ts'
import { notFound, unavailable } from './errors.ts'
import { escapeValue, unescapeBytes } from './escape.ts'
import type { XenstorePath } from './path.ts'

/** What xenstored refused; the commands do not say why (tools/xenstore/xenstore_client.c: `warnx`, without errno). */
export interface Refused {
  readonly refused: true
}

// Until xenstored runs, a read of /dev/xen/xenbus waits for ever.
const TIMEOUT_MS = 10_000
const REFUSED: Refused = { refused: true }
const DONE = { done: true } as const

/** The exact value, or refused: it is not there, or not for us to see. */
export function readValue(path: XenstorePath): Command<{ readonly value: Uint8Array } | Refused> {
  return xenstore('read', [path], "couldn't read path", stdout => ({ value: unescapeBytes(stdout.replace(/\n$/, '')) }))
}

/** Names of the children, or refused: the path is not there, or not for us to see. */
export function listChildren(path: XenstorePath): Command<{ readonly names: readonly string[] } | Refused> {
  return xenstore('list', [path], 'could not list path', stdout => ({
    names: stdout.split('\n').filter(name => name !== ''),
  }))
}

/** Every value, in one transaction. */
export function writeValues(
  values: readonly (readonly [XenstorePath, string | Uint8Array])[]
): Command<{ readonly done: true } | Refused> {
  const args = values.flatMap(([path, value]) => [path, escapeValue(value)])
  return xenstore('write', args, 'could not write path', () => DONE)
}

/** Refused only where the parent is missing too, or for want of permission: a missing leaf is fine. */
export function removePath(path: XenstorePath): Command<{ readonly done: true } | Refused> {
  return xenstore('rm', [path], 'could not remove path', () => DONE)
}

/** `xenstore-exists` says "no" by exit 1 without a word. */
export function pathExists(path: XenstorePath): Command<boolean> {
  const words = { file: 'xenstore-exists', args: ['--', path], timeoutMs: TIMEOUT_MS }
  return {
    ...words,
    decode: result => {
      if (result.exitCode === 0) return true
      if (result.stderr.trim() === '') return false
      throw noAnswer(result)
    },
  }
}

/**
 * Replaces all permissions. This command alone says why it was refused (`err`, with errno), and starts its words in
 * another way than the others.
 */
export function changeMode(path: XenstorePath, words: readonly string[]): Command<{ readonly done: true } | Refused> {
  const command = xenstore('chmod', [path, ...words], 'Error occurred setting permissions on', () => DONE)
  return {
    ...command,
    decode: result => {
      const isAbsent = result.exitCode !== 0 && result.stderr.trim().endsWith(`'${path}': No such file or directory`)
      if (isAbsent) throw notFound(path)
      return command.decode(result)
    },
  }
}

/**
 * Exit 1 means any failure, so here stderr has to decide. One line saying that the path was refused is xenstored's
 * answer; anything else (`xs_open: …`, `couldn't start transaction`, also after a refusal) means that there is none.
 */
function xenstore<T>(
  verb: string,
  args: readonly string[],
  no: string,
  read: (stdout: string) => T
): Command<T | Refused> {
  return {
    file: `xenstore-${verb}`,
    args: ['--', ...args], // a value may start with a dash
    timeoutMs: TIMEOUT_MS,
    decode: result => {
      if (result.exitCode === 0) return read(result.stdout)
      const [line = '', ...more] = result.stderr.trim().split('\n')
      if (line.includes(`: ${no} `) && more.length === 0) return REFUSED
      throw noAnswer(result)
    },
  }
}

function noAnswer({ exitCode, stderr }: CommandResult): LunError<'XENSTORE_UNAVAILABLE'> {
  return unavailable(stderr.trim().slice(-500) || `exit ${exitCode}`)
}
