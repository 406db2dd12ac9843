import type { OperationOptions } from '../core/options.ts'
import type { Files } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { findOwnFile, isOwnFile, makeOwnFolder, type OwnFolderOptions } from '../host/own-path.ts'
import { formatProcessId, isAlive, type ProcessId, parseProcessId, thisProcess } from '../host/process-id.ts'

type LockHost = Pick<Host, 'files' | 'clock' | 'locks'>

/** Which lock, and how long to wait for it. */
export interface LinkLockOptions extends OperationOptions, OwnFolderOptions {
  readonly folder: string
  readonly name: string
  readonly timeoutMs: number
  /** The error for a lock that somebody else kept. */
  readonly refused: () => Promise<Error>
  /** Called whenever somebody else is found to have it. */
  readonly onWait?: () => Promise<void>
}

const EVERY_MS = 10
// What took long may be taken a little late.
const LATENESS = 0.02
const BREAKING_MS = 30_000
const LINE = /^xen-lun (.*)\n$/

/**
 * A lock that is a hard link to a file of ours, which says whose it is. Taking and releasing it costs no process; it
 * outlives a holder that was killed, and is taken away from one that is dead.
 *
 * @throws {@link LunError} `PATH_UNSAFE` where somebody else could have a hand in it; what `refused` answers
 */
export async function withLinkLock<T>(host: LockHost, options: LinkLockOptions, task: () => Promise<T>): Promise<T> {
  const { folder, name, signal } = options
  const { files } = host
  signal?.throwIfAborted()
  await makeOwnFolder(files, folder, options)
  // Its own name for each, since one process may wait for the lock more than once.
  const mine = `${folder}/${HOLDER}${crypto.randomUUID()}`
  await files.replace(mine, `xen-lun ${formatProcessId(await thisProcess(files))}\n`, 0o600)
  try {
    await take(host, options, mine)
  } finally {
    await files.remove(mine)
  }
  try {
    return await task()
  } finally {
    await files.remove(`${folder}/${name}`)
  }
}

/** How the files begin that name a holder until it has the lock. */
export const HOLDER = 'xen-lun.'

async function take(
  host: LockHost,
  { folder, name, timeoutMs, signal, refused, onWait }: LinkLockOptions,
  mine: string
): Promise<void> {
  const { files, clock } = host
  const lock = `${folder}/${name}`
  const begunMs = clock.now()
  while (!(await files.link(mine, lock))) {
    signal?.throwIfAborted()
    await findOwnFile(files, lock)
    if (await releaseAbandoned(host, lock, { signal })) continue
    await onWait?.()
    const waitedMs = clock.now() - begunMs
    if (waitedMs >= timeoutMs) throw await refused()
    await clock.sleep(Math.min(Math.max(EVERY_MS, LATENESS * waitedMs), timeoutMs - waitedMs), signal)
  }
}

/** Takes a lock away from a process of this library that died with it. */
export async function releaseAbandoned(
  { files, locks }: Pick<Host, 'files' | 'locks'>,
  lock: string,
  { signal }: OperationOptions = {}
): Promise<boolean> {
  if (!(await isAbandoned(files, lock))) return false
  // Two that both found it abandoned must not break each other's: the second finds it is another lock by now.
  const check = async (): Promise<boolean> => (await isAbandoned(files, lock)) && (await files.remove(lock))
  return await locks.withLock('abandoned locks', check, { timeoutMs: BREAKING_MS, signal })
}

/** Who holds it; undefined when nobody does, or somebody who is not us. */
export async function holderOf(files: Files, lock: string): Promise<ProcessId | undefined> {
  // What anybody may have put there is not read: a link leads elsewhere, and a FIFO keeps whoever reads it for ever.
  if (!(await isOwnFile(files, lock))) return undefined
  const [, process] = LINE.exec((await files.read(lock)) ?? '') ?? []
  return process === undefined ? undefined : parseProcessId(process)
}

/** Whether a lock, or the file of one who waits for it, is that of a process that is dead. */
export async function isAbandoned(files: Files, lock: string): Promise<boolean> {
  const holder = await holderOf(files, lock)
  return holder !== undefined && !(await isAlive(files, holder))
}
