import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Host } from '../host/host.ts'

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

/**
 * Runs `task` while no iscsiadm reads or writes a record. The lock is open-iscsi's own: a hard link `lock.write` to the
 * file `lock`, which whoever makes it holds, and which outlives a holder that was killed. It carries no name and no
 * time, so one left over can only be told by nobody ever releasing it; it is reported and not broken, because that
 * would break a holder that is merely slow.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`
 */
export async function withDbLock<T>(
  host: Pick<Host, 'files' | 'clock'>,
  task: () => Promise<T>,
  { folder = DB_LOCK_FOLDER, timeoutMs = WAIT_MS, signal }: DbLockOptions = {}
): Promise<T> {
  const { files } = host
  signal?.throwIfAborted()
  await files.makeDirectory(folder, 0o700)
  await files.withDescriptor(`${folder}/lock`, async () => {}) // makes it, as iscsiadm would
  await take(host, folder, timeoutMs, signal)
  try {
    return await task()
  } finally {
    await files.remove(`${folder}/lock.write`)
  }
}

async function take(
  { files, clock }: Pick<Host, 'files' | 'clock'>,
  folder: string,
  timeoutMs: number,
  signal: AbortSignal | undefined
): Promise<void> {
  const lock = `${folder}/lock.write`
  const deadline = clock.now() + timeoutMs
  let holder: number | undefined
  let heldSince = clock.now()
  while (!(await files.link(`${folder}/lock`, lock))) {
    signal?.throwIfAborted()
    // Taking and releasing both change the folder, so an unchanged one has had the same holder all along.
    const changed = (await files.stat(folder))?.mtimeMs
    if (changed !== holder) heldSince = clock.now()
    holder = changed
    if (clock.now() >= deadline) throw lockTimeout(lock, timeoutMs, clock.now() - heldSince)
    await clock.sleep(Math.min(EVERY_MS, deadline - clock.now()), signal)
  }
}

function lockTimeout(lock: string, timeoutMs: number, heldMs: number): LunError<'LOCK_TIMEOUT'> {
  const holder = `one holder has had it for at least ${Math.round(heldMs)} ms`
  const advice = `if no iscsiadm is running, a killed one left it behind: remove ${lock}`
  const text = `the node database stayed locked for ${timeoutMs} ms; ${holder}; ${advice}`
  return new LunError('LOCK_TIMEOUT', text, { lock, timeoutMs })
}
