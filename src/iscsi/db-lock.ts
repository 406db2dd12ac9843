import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Files } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { formatHolder, parseHolder, startOf, thisProcess } from './lock-holder.ts'

/** Where open-iscsi keeps the lock of its database: LOCK_DIR in usr/idbm.h. */
export const DB_LOCK_FOLDER = '/run/lock/iscsi'

/** How long open-iscsi itself waits, and how often it looks: usr/idbm.c, idbm_lock(). */
const WAIT_MS = 30_000
const EVERY_MS = 10

/** Whose lock, and how long to wait for it. */
export interface DbLockOptions extends OperationOptions {
  readonly folder?: string | undefined
  readonly timeoutMs?: number | undefined
}

type LockHost = Pick<Host, 'files' | 'clock' | 'locks'>

/**
 * Runs `task` while no iscsiadm reads or writes a record. The lock is open-iscsi's own: a hard link `lock.write`, which
 * whoever makes it holds, and which outlives a holder that was killed. open-iscsi's carries no name and no time, so one
 * left over can only be told by nobody ever releasing it; it is reported and not broken, because that would break a
 * holder that is merely slow. Ours names its process, and is taken away from one that is dead.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`
 */
export async function withDbLock<T>(
  host: LockHost,
  task: () => Promise<T>,
  { folder = DB_LOCK_FOLDER, timeoutMs = WAIT_MS, signal }: DbLockOptions = {}
): Promise<T> {
  const { files } = host
  signal?.throwIfAborted()
  await files.makeDirectory(folder, 0o700)
  const holder = await thisProcess(files)
  // Its own name for each, since one process may wait for the lock more than once.
  const mine = `${folder}/xen-lun.${crypto.randomUUID()}`
  await files.replace(mine, formatHolder(holder), 0o600)
  try {
    await take(host, folder, mine, timeoutMs, signal)
  } finally {
    await files.remove(mine)
  }
  try {
    return await task()
  } finally {
    await files.remove(`${folder}/lock.write`)
  }
}

async function take(
  host: LockHost,
  folder: string,
  mine: string,
  timeoutMs: number,
  signal: AbortSignal | undefined
): Promise<void> {
  const { files, clock } = host
  const lock = `${folder}/lock.write`
  const deadline = clock.now() + timeoutMs
  let holder: number | undefined
  let heldSince = clock.now()
  while (!(await files.link(mine, lock))) {
    signal?.throwIfAborted()
    await releaseAbandoned(host, { folder, signal })
    // Taking and releasing both change the folder, so an unchanged one has had the same holder all along.
    const changed = (await files.stat(folder))?.mtimeMs
    if (changed !== holder) heldSince = clock.now()
    holder = changed
    if (clock.now() >= deadline) throw lockTimeout(lock, timeoutMs, clock.now() - heldSince)
    await clock.sleep(Math.min(EVERY_MS, deadline - clock.now()), signal)
  }
}

/**
 * Takes the lock away from a process of this library that died with it. iscsiadm, which cannot tell, would wait 30 s.
 */
export async function releaseAbandoned(
  { files, locks }: Pick<Host, 'files' | 'locks'>,
  { folder = DB_LOCK_FOLDER, signal }: Omit<DbLockOptions, 'timeoutMs'> = {}
): Promise<void> {
  const lock = `${folder}/lock.write`
  if (!(await isAbandoned(files, lock))) return
  // Two that both found it abandoned must not break each other's: the second finds it is another lock by now.
  const check = async (): Promise<void> => {
    if (await isAbandoned(files, lock)) await files.remove(lock)
  }
  await locks.withLock('node database', check, { timeoutMs: WAIT_MS, signal })
}

async function isAbandoned(files: Files, lock: string): Promise<boolean> {
  const holder = parseHolder((await files.read(lock)) ?? '')
  return holder !== undefined && (await startOf(files, holder.pid)) !== holder.start
}

function lockTimeout(lock: string, timeoutMs: number, heldMs: number): LunError<'LOCK_TIMEOUT'> {
  const holder = `one holder has had it for at least ${Math.round(heldMs)} ms`
  const advice = `if no iscsiadm is running, a killed one left it behind: remove ${lock}`
  const text = `the node database stayed locked for ${timeoutMs} ms; ${holder}; ${advice}`
  return new LunError('LOCK_TIMEOUT', text, { lock, timeoutMs })
}
