import { answer, failed, type Program } from './program.ts'
import type { Scheduler } from './scheduler.ts'
import type { XenstoreModel } from './xenstore.ts'
import { type NodesView, Refusal } from './xenstore-nodes.ts'
import { fullPath } from './xenstored.ts'

const WORK_MS = 5
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EINVAL: 'Invalid argument',
}

/** The `xenstore-*` commands of Xen 4.20, each in one transaction. Relative paths begin at dom0's home. */
export function createXenstorePrograms(
  model: XenstoreModel,
  isRunning: () => boolean,
  scheduler: Scheduler
): Readonly<Record<string, Program>> {
  /** `explain` has the words for a refusal of `path`. */
  const program = (
    verb: string,
    explain: ((path: string, errno: string) => string) | undefined,
    act: (view: NodesView, args: readonly string[], at: (path: string) => string) => string
  ): Program => ({
    run: async args => {
      await scheduler.sleep(WORK_MS)
      if (!isRunning()) return failed(1, `xenstore-${verb}: xs_open: No such file or directory\n`)
      let asked = ''
      const at = (path: string): string => {
        asked = path
        return fullPath(path, 0)
      }
      const transaction = model.begin(0)
      try {
        const stdout = act(transaction.view, args.slice(args.indexOf('--') + 1), at)
        transaction.commit()
        return answer(stdout)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return failed(1, explain === undefined ? '' : `xenstore-${verb}: ${explain(asked, error.errno)}\n`)
      }
    },
  })
  return {
    'xenstore-read': program(
      'read',
      path => `couldn't read path ${path}`,
      (view, [path = ''], at) => `${escapeBytes(view.read(at(path)))}\n`
    ),
    'xenstore-list': program(
      'list',
      path => `could not list path ${path}`,
      (view, [path = ''], at) =>
        view
          .list(at(path))
          .children.map(name => `${name}\n`)
          .join('')
    ),
    'xenstore-write': program(
      'write',
      path => `could not write path ${path}`,
      (view, args, at) => {
        for (let n = 0; n < args.length; n += 2) view.write(at(args[n] ?? ''), unescapeBytes(args[n + 1] ?? ''))
        return ''
      }
    ),
    'xenstore-rm': program(
      'rm',
      path => `could not remove path ${path}`,
      (view, [path = ''], at) => {
        view.remove(at(path))
        return ''
      }
    ),
    'xenstore-exists': program('exists', undefined, (view, [path = ''], at) => {
      view.read(at(path))
      return ''
    }),
    'xenstore-chmod': program(
      'chmod',
      (path, errno) => `Error occurred setting permissions on '${path}': ${REASONS[errno] ?? errno}`,
      (view, [path = '', ...words], at) => {
        view.setPermissions(at(path), words)
        return ''
      }
    ),
  }
}

const LETTERS: ReadonlyMap<number, string> = new Map([
  [9, '\\t'],
  [10, '\\n'],
  [13, '\\r'],
  [92, '\\\\'],
])
const BYTES: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13 }

/** sanitise_value(): everything but printable ASCII in C's way. */
function escapeBytes(value: Uint8Array): string {
  return [...value]
    .map(byte => {
      const letter = LETTERS.get(byte)
      if (letter !== undefined) return letter
      if (byte >= 0x20 && byte <= 0x7e) return String.fromCodePoint(byte)
      return byte < 8 ? `\\${byte.toString(8).padStart(3, '0')}` : `\\x${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}

/** unsanitise_value() */
function unescapeBytes(text: string): Uint8Array {
  const pieces = [...text.matchAll(/\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\(.?)|([^\\]+)/gs)]
  return new Uint8Array(
    pieces.flatMap(([, hex, octal, letter, plain]) => {
      if (hex !== undefined) return [Number.parseInt(hex, 16)]
      if (octal !== undefined) return [Number.parseInt(octal, 8) & 0xff]
      const byte = BYTES[letter ?? '']
      return byte === undefined ? [...new TextEncoder().encode(letter ?? plain)] : [byte]
    })
  )
}
