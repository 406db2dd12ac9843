import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { printable } from '../core/printable.ts'
import { holderOf, withLinkLock } from '../flow/link-lock.ts'
import type { Host } from '../host/host.ts'
import type { LockOptions } from '../host/locks.ts'
import { isOwnFolder } from '../host/own-path.ts'
import { isAlive } from '../host/process-id.ts'
import type { LunPlace } from './journal/journal.ts'

export const LUN_LOCKS = '/run/xen-lun/locks/luns'
/** Where older versions had them. */
export const FORMER_LUN_LOCKS = '/run/lock/xen-lun/luns'

type LunLockOptions = OperationOptions & { readonly timeoutMs: number }

/**
 * Runs `task` with a LUN to itself; held for a whole operation. It is a link lock and no flock, because it is taken by
 * every operation, and flock costs a process.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`, `PATH_UNSAFE`
 */
export async function withLun<T>(
  host: Host,
  { target, lun }: LunPlace,
  { timeoutMs, signal }: LunLockOptions,
  task: () => Promise<T>
): Promise<T> {
  const name = `${target},${lun}`
  const hold = async (folder: string, work: () => Promise<T>): Promise<T> => {
    const refused = async (): Promise<Error> => {
      const lock = `LUN ${lun} of ${target}`
      const holder = await describeHolder(host, `${folder}/${name}`)
      return new LunError('LOCK_TIMEOUT', `${holder} held ${lock} for ${timeoutMs} ms`, { lock, timeoutMs })
    }
    return await withLinkLock(host, { folder, name, timeoutMs, signal, refused }, work)
  }
  return await hold(LUN_LOCKS, async () => {
    // Processes of an older version that began before it was replaced know of that one only.
    const isOlder = await isOwnFolder(host.files, FORMER_LUN_LOCKS)
    return isOlder ? await hold(FORMER_LUN_LOCKS, task) : await task()
  })
}

/** Whether somebody has the LUN to itself now. */
export async function isAtWork({ files }: Pick<Host, 'files'>, { target, lun }: LunPlace): Promise<boolean> {
  const holder = await holderOf(files, `${LUN_LOCKS}/${target},${lun}`)
  return holder !== undefined && (await isAlive(files, holder))
}

async function describeHolder({ files }: Host, lock: string): Promise<string> {
  const holder = await holderOf(files, lock)
  if (holder === undefined) return 'another operation'
  const command = (await files.read(`/proc/${holder.pid}/comm`))?.trim()
  return `process ${holder.pid}${command === undefined ? '' : ` (${printable(command)})`}`
}

/**
 * Runs `task` while nobody else logs in to or out of a target, or changes what is noted of it. Whoever has a LUN's lock
 * may ask for its target's, never the other way round. Attaches that find all sessions there do neither, and have lanes.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`
 */
export async function withTarget<T>(
  { locks }: Pick<Host, 'locks'>,
  target: string,
  options: LockOptions,
  task: () => Promise<T>
): Promise<T> {
  return await locks.withLock(`target ${target}`, task, options)
}

/**
 * Runs `task` while nobody else decides what becomes of a map that has paths through several targets. Whoever has a LUN's
 * lock may ask for its volume's, and holds no other then.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`
 */
export async function withVolume<T>(
  { locks }: Pick<Host, 'locks'>,
  wwid: string,
  options: LockOptions,
  task: () => Promise<T>
): Promise<T> {
  return await locks.withLock(`volume ${wwid}`, task, options)
}
