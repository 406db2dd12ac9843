import type { DeviceUser } from '../../core/error-details.ts'
import type { Files } from '../../host/files.ts'
import type { Context } from '../context.ts'
import { domainOf } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'
import { assertUnused, isUdev } from './in-use.ts'
import type { VolumeDevices } from './users.ts'

/** For what reads a new device, or lets go of one. */
const BUSY_MS = 5000

/**
 * Refuses to give a device to a guest while dom0 uses it, and to dom0 while a QEMU has it; blkback's guests are a matter of
 * sharing, which has been checked: `domids` may have it. What dom0 uses, another owner of dom0's may have as well, but the
 * very device: nobody may use the LUN as another one, a path below the map or a second disk.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user, `TIMEOUT`
 */
export async function assertFree(
  context: Context,
  operation: Operation,
  volume: VolumeDevices,
  { device, domids }: { readonly device: string; readonly domids: readonly number[] }
): Promise<void> {
  const domid = domainOf(operation.owner)
  const isDom0 = domid === undefined || domid === 0
  const isAllowed = async (user: DeviceUser): Promise<boolean> => {
    if (user.kind === 'xen-backend' || isUdev(user)) return true
    const served = await servedBy(context.host.files, user)
    if (served !== undefined && served !== 0) return domids.includes(served)
    return isDom0 && !isOnOther(volume, user, device)
  }
  await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isAllowed, isNew: true })
}

/**
 * Refuses to make a map over disks that somebody uses by themselves, whoever that is.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user, `TIMEOUT`
 */
export async function assertDisksFree(context: Context, operation: Operation, volume: VolumeDevices): Promise<void> {
  const isAllowed = async (user: DeviceUser): Promise<boolean> => isUdev(user)
  await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isAllowed, isNew: true })
}

/** The domain a QEMU serves. */
async function servedBy(files: Files, { kind, name }: DeviceUser): Promise<number | undefined> {
  const [, pid] = (kind === 'process' && /^(\d+) /.exec(name)) || []
  if (pid === undefined) return undefined
  const words = (await files.read(`/proc/${pid}/cmdline`).catch(() => undefined))?.split('\0') ?? []
  const at = words.indexOf('-xen-domid')
  const domid = at < 0 ? undefined : words[at + 1]
  return domid !== undefined && /^\d{1,5}$/.test(domid) ? Number(domid) : undefined
}

/** Whether it is of a disk, or a partition of one, that is not the device itself. What is stacked on a disk holds it. */
function isOnOther({ disks, foreignPaths }: VolumeDevices, user: DeviceUser, device: string): boolean {
  return [...disks.map(({ name }) => name), ...foreignPaths]
    .filter(name => name !== device)
    .some(name => user.device.replace(/\d+$/, '') === name)
}
