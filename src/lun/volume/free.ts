import type { DeviceUser } from '../../core/error-details.ts'
import type { Context } from '../context.ts'
import { domainOf } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'
import { assertUnused } from './in-use.ts'
import { isOfUdev, servedBy } from './user-process.ts'
import type { VolumeDevices } from './users.ts'

/** For what reads a new device, or lets go of one. */
const BUSY_MS = 5000

/**
 * Refuses to give a device to a guest while dom0 uses it, and to dom0 while a QEMU has it; blkback's guests are a matter of
 * sharing, which has been checked: `domids` may have it. What dom0 uses, another owner of dom0's may have as well, but the
 * very device: nobody may use the volume as another one, a path below the map or a second disk. A backend that is closing
 * may still have something to write, whoever its guest was, so it is waited for.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user, `TIMEOUT`
 */
export async function assertFree(
  context: Context,
  operation: Operation,
  volume: VolumeDevices,
  { device, domids }: { readonly device: string; readonly domids: readonly number[] }
): Promise<void> {
  const { files } = context.host
  const domid = domainOf(operation.owner)
  const isDom0 = domid === undefined || domid === 0
  const isAllowed = async (user: DeviceUser, base: string): Promise<boolean> => {
    if (await isOfUdev(files, user)) return true
    if (base !== device) return false
    if (user.kind === 'xen-backend') return user.state !== 'Closing'
    const served = await servedBy(files, user)
    if (served === undefined) return isDom0
    return served !== 'unknown' && domids.includes(served)
  }
  await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isAllowed, isNew: true })
}

/**
 * Refuses to make a map over disks that somebody uses by themselves, whoever that is.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user, `TIMEOUT`
 */
export async function assertDisksFree(context: Context, operation: Operation, volume: VolumeDevices): Promise<void> {
  const isAllowed = async (user: DeviceUser): Promise<boolean> => await isOfUdev(context.host.files, user)
  await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isAllowed, isNew: true })
}
