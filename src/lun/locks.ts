import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { printable } from '../core/printable.ts'
import { holderOf, withLinkLock } from '../flow/link-lock.ts'
import type { Host } from '../host/host.ts'
import { lockFileName } from '../host/lock-name.ts'
import type { LockOptions } from '../host/locks.ts'
import { isOwnFolder } from '../host/own-path.ts'
import { isAlive } from '../host/process-id.ts'
import type { LunPlace } from './journal/journal.ts'

export const LUN_LOCKS = '/run/xen-lun/locks/luns'
/** Where older versions had them. */
export const FORMER_LUN_LOCKS = '/run/lock/xen-lun/luns'
export const VOLUME_LOCKS = '/run/xen-lun/locks/volumes'

type LinkOptions = OperationOptions & { readonly timeoutMs: number }

/**
 * Runs `task` with a LUN to itself; held for a whole operation. It is a link lock and no flock, because it is taken by
 * every operation, and flock costs a process.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`, `PATH_UNSAFE`
 */
export async function withLun<T>(
  host: Host,
  { target, lun }: LunPlace,
  options: LinkOptions,
  task: () => Promise<T>
): Promise<T> {
  const lock = { name: `${target},${lun}`, label: `LUN ${lun} of ${target}` }
  return await withLink(host, { ...lock, folder: LUN_LOCKS }, options, async () => {
    // Processes of an older version that began before it was replaced know of that one only.
    const isOlder = await isOwnFolder(host.files, FORMER_LUN_LOCKS)
    return isOlder ? await withLink(host, { ...lock, folder: FORMER_LUN_LOCKS }, options, task) : await task()
  })
}

/** A link lock, and what it is of. */
interface Link {
  readonly folder: string
  readonly name: string
  readonly label: string
}

async function withLink<T>(
  host: Host,
  { folder, name, label: lock }: Link,
  { timeoutMs, signal }: LinkOptions,
  task: () => Promise<T>
): Promise<T> {
  const refused = async (): Promise<Error> => {
    const holder = await describeHolder(host, `${folder}/${name}`)
    return new LunError('LOCK_TIMEOUT', `${holder} held ${lock} for ${timeoutMs} ms`, { lock, timeoutMs })
  }
  return await withLinkLock(host, { folder, name, timeoutMs, signal, refused }, task)
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
 * Runs `task` while nobody else decides what becomes of a volume's map, or hands the volume over: it may be known by
 * several targets. Whoever has a LUN's or a target's lock may ask for its volume's, never the other way round. It is a
 * link lock for the same reason as a LUN's. Nothing is locked where nobody knows which volume it is.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`, `PATH_UNSAFE`
 */
export async function withVolume<T>(
  host: Host,
  wwid: string | undefined,
  options: LinkOptions,
  task: () => Promise<T>
): Promise<T> {
  if (wwid === undefined) return await task()
  const lock = { folder: VOLUME_LOCKS, name: lockFileName(wwid), label: `volume ${wwid}` }
  return await withLink(host, lock, options, task)
}
