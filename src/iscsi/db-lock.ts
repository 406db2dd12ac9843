import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { withLinkLock } from '../flow/link-lock.ts'
import type { Files } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { findOwnFile, findOwnFolder } from '../host/own-path.ts'

/** Where open-iscsi keeps the lock of its database: LOCK_DIR in usr/idbm.h. */
export const DB_LOCK_FOLDER = '/run/lock/iscsi'
export const DB_LOCK = 'lock.write'

/** open-iscsi makes the folder for its group, too, which is root's. */
export const DB_LOCK_FOREIGN = 0o002

/** How long open-iscsi itself waits: usr/idbm.c, idbm_lock(). */
const WAIT_MS = 30_000

/** Whose lock, and how long to wait for it. */
export interface DbLockOptions extends OperationOptions {
  readonly folder?: string | undefined
  readonly timeoutMs?: number | undefined
}

/**
 * Refuses a lock of open-iscsi's that somebody else could have a hand in, as could anybody who made its folder first where
 * everybody may write to /run/lock: iscsiadm itself follows what links it finds there, and waits 30 s for what is no lock.
 *
 * @throws {@link LunError} `PATH_UNSAFE`
 */
export async function checkDbLock(files: Files): Promise<void> {
  if (await findOwnFolder(files, DB_LOCK_FOLDER, { foreign: DB_LOCK_FOREIGN })) {
    await findOwnFile(files, `${DB_LOCK_FOLDER}/${DB_LOCK}`)
  }
}

/**
 * Runs `task` while no iscsiadm reads or writes a record. The lock is open-iscsi's own: a hard link `lock.write`, which
 * whoever makes it holds, and which outlives a holder that was killed. open-iscsi's carries no name and no time, so one
 * left over can only be told by nobody ever releasing it; it is reported and not broken, because that would break a
 * holder that is merely slow. Ours names its process, and is taken away from one that is dead; iscsiadm alone would
 * wait 30 s for it.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`, `PATH_UNSAFE`
 */
export async function withDbLock<T>(
  host: Pick<Host, 'files' | 'clock' | 'locks'>,
  task: () => Promise<T>,
  { folder = DB_LOCK_FOLDER, timeoutMs = WAIT_MS, signal }: DbLockOptions = {}
): Promise<T> {
  const { files, clock } = host
  const lock = `${folder}/${DB_LOCK}`
  let holder: number | undefined
  let heldSinceMs = clock.now()
  // Taking and releasing both change the folder, so an unchanged one has had the same holder all along.
  const onWait = async (): Promise<void> => {
    const changed = (await files.stat(folder))?.mtimeMs
    if (changed !== holder) heldSinceMs = clock.now()
    holder = changed
  }
  const refused = async (): Promise<Error> => lockTimeout(lock, timeoutMs, clock.now() - heldSinceMs)
  const options = { folder, foreign: DB_LOCK_FOREIGN, name: DB_LOCK, timeoutMs, signal, onWait, refused }
  return await withLinkLock(host, options, task)
}

function lockTimeout(lock: string, timeoutMs: number, heldMs: number): LunError<'LOCK_TIMEOUT'> {
  const holder = `one holder has had it for at least ${Math.round(heldMs)} ms`
  const advice = `if no iscsiadm is running, a killed one left it behind: remove ${lock}`
  const text = `the node database stayed locked for ${timeoutMs} ms; ${holder}; ${advice}`
  return new LunError('LOCK_TIMEOUT', text, { lock, timeoutMs })
}
