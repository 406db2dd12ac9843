import { findMapOn } from '../../block/block-device.ts'
import { LunError } from '../../core/error.ts'
import { formatHctl } from '../../core/hctl.ts'
import type { Context } from '../context.ts'
import { isLasting } from '../journal/expiry.ts'
import type { Operation } from '../operation.ts'
import { describeLun, findDevices, type LunDevice } from './find-lun.ts'
import { assertDisksFree } from './free.ts'
import { inUse } from './in-use.ts'

/** Somebody who has the LUN as a plain disk: it is no other disk to anybody then, and no map. */
export interface PlainHolder {
  readonly owner: string
  readonly hctl: string
  /** Undefined once it is gone. */
  readonly device: LunDevice | undefined
}

/**
 * Who has the LUN as a plain disk, by the journal: from when it was handed over, whether or not anybody has opened it since.
 * What is only kept ready is nobody's; nor is what is gone to its only owner.
 */
export async function findPlainHolder(context: Context, operation: Operation): Promise<PlainHolder | undefined> {
  const { target, lun } = operation
  const owners = [...((await context.journal.lun(operation))?.owners ?? [])]
  const holders = owners.flatMap(([owner, noted]) => {
    const isHeld = isLasting(noted) || noted.state === 'detaching'
    return isHeld && noted.plain !== undefined ? [{ owner, hctl: noted.plain }] : []
  })
  const [first] = holders
  if (first === undefined) return undefined
  const devices = await findDevices(context, await context.iscsiadm.sessions({ target }), lun)
  const device = devices.find(({ hctl }) => formatHctl(hctl) === first.hctl)
  if (device === undefined && holders.every(({ owner }) => owner === operation.owner)) return undefined
  return { ...first, device }
}

/** The error for a map that is wanted of a plain disk. */
export function noMapBeside({ owner, hctl, device }: PlainHolder): LunError<'MULTIPATH_REQUIRED'> {
  const reason = `${owner} has it as the plain disk ${device?.disk ?? hctl}`
  return new LunError('MULTIPATH_REQUIRED', `no map can be made of this LUN: ${reason}`, { wwid: '?', reason })
}

/** The error for a plain disk that is wanted where another one is in use. */
export async function heldElsewhere(
  context: Context,
  operation: Operation,
  { owner, hctl, device }: PlainHolder
): Promise<LunError<'LUN_IN_USE'>> {
  return await inUse(context, operation, [{ kind: 'owner', device: device?.disk ?? hctl, name: owner }])
}

/**
 * Refuses while somebody uses a disk of this LUN that is in no map: there will be one over it.
 *
 * @throws {@link LunError} `LUN_IN_USE`, `TIMEOUT`
 */
export async function assertNoPlainUse(context: Context, operation: Operation): Promise<void> {
  const { target, lun } = operation
  const { files } = context.host
  const devices = await findDevices(context, await context.iscsiadm.sessions({ target }), lun)
  const { disks } = await describeLun(files, devices, undefined)
  const maps = await Promise.all(disks.map(async ({ name }) => await findMapOn(files, name)))
  const plain = disks.filter((_, n) => maps[n] === undefined)
  if (plain.length > 0) await assertDisksFree(context, operation, { map: undefined, disks: plain, foreignPaths: [] })
}
