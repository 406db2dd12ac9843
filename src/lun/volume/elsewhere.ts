import { type BlockDevice, findMapOn, readBlockDevice } from '../../block/block-device.ts'
import { diskWwid } from '../../block/volume.ts'
import type { DeviceUser } from '../../core/error-details.ts'
import { parseHctl } from '../../core/hctl.ts'
import type { Files } from '../../host/files.ts'
import type { Context } from '../context.ts'
import type { Owner } from '../journal/entries.ts'
import { isLasting } from '../journal/expiry.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { Operation } from '../operation.ts'
import { findDevices } from './find-lun.ts'
import { assertDisksFree } from './free.ts'
import { inUse } from './in-use.ts'

/** Somebody who holds the volume by another target or number, as the journal has it. */
interface HolderElsewhere extends LunPlace {
  readonly owner: string
  readonly noted: Owner
}

/**
 * Who holds a volume by another address than this one, for good or for a while, or is about to, and has a disk of it, one of
 * the `twins`. Of one whose disks are gone nothing is left that would need the map, as while somebody else is through with
 * detaching it.
 */
async function findHoldersElsewhere(
  context: Context,
  { target, lun }: LunPlace,
  wwid: string | undefined,
  twins: readonly BlockDevice[]
): Promise<readonly HolderElsewhere[]> {
  if (wwid === undefined || twins.length === 0) return []
  const luns = (await context.journal.luns()).filter(
    ({ entry, isStale, ...place }) =>
      !isStale && entry?.wwid === wwid && !(place.target === target && place.lun === lun)
  )
  const found = await Promise.all(
    luns.map(async ({ entry, target: at, lun: number }): Promise<readonly HolderElsewhere[]> => {
      const devices = await findDevices(context, await context.iscsiadm.sessions({ target: at }), number)
      if (devices.length === 0) return []
      return [...(entry?.owners ?? [])].map(([owner, noted]) => ({ target: at, lun: number, owner, noted }))
    })
  )
  return found.flat()
}

/** Whether somebody holds a volume by another address than this LUN's. */
export async function isHeldElsewhere(
  context: Context,
  place: LunPlace,
  { wwid, disks }: { readonly wwid: string | undefined; readonly disks: readonly BlockDevice[] }
): Promise<boolean> {
  const own = disks.map(({ name }) => name)
  const twins = await findTwins(context.host.files, wwid, own)
  return (await findHoldersElsewhere(context, place, wwid, twins)).length > 0
}

/** Disks of the same volume besides these: through another target, or by another number. As the kernel knows them. */
export async function findTwins(
  files: Files,
  wwid: string | undefined,
  known: readonly string[]
): Promise<readonly BlockDevice[]> {
  if (wwid === undefined) return []
  const names = (await files.list('/sys/block')).filter(name => name.startsWith('sd') && !known.includes(name))
  const wwids = await Promise.all(names.map(async name => await diskWwid(files, name)))
  const twins = names.filter((_, n) => wwids[n] === wwid)
  const found = await Promise.all(twins.map(async name => await readBlockDevice(files, name)))
  return found.filter(twin => twin !== undefined)
}

/**
 * Refuses a device of a volume that somebody has been given by another address as another device: a disk where this is a
 * map or another disk, a map where this is a disk. `disk` is undefined for the map.
 *
 * @throws {@link LunError} `LUN_IN_USE`
 */
export async function assertOneDevice(
  context: Context,
  operation: Operation,
  wwid: string | undefined,
  { disk, twins }: { readonly disk: string | undefined; readonly twins: readonly BlockDevice[] }
): Promise<void> {
  const holders = await findHoldersElsewhere(context, operation, wwid, twins)
  const users = await Promise.all(
    holders.map(async ({ owner: name, noted }): Promise<readonly DeviceUser[]> => {
      // Who is detaching and has a disk still may have something to write.
      if (!isLasting(noted) && noted.state !== 'detaching') return []
      const its = noted.plain === undefined ? MAP : await plainDisk(context, noted.plain, wwid)
      return its === undefined || its === (disk ?? MAP) ? [] : [{ kind: 'owner', device: its, name }]
    })
  )
  if (users.flat().length > 0) throw await inUse(context, operation, users.flat())
}

/** A volume has one map. */
const MAP = 'its map'

/** The disk somebody was given, if it is still there and still of this volume: the kernel gives numbers anew. */
async function plainDisk({ scsi, host }: Context, hctl: string, wwid: string | undefined): Promise<string | undefined> {
  const disk = await scsi.disk(parseHctl(hctl))
  return disk !== undefined && (await diskWwid(host.files, disk)) === wwid ? disk : undefined
}

/**
 * Refuses while somebody has been given a disk of the volume by another address, or uses one, that is in no map: there
 * will be one over it.
 *
 * @throws {@link LunError} `LUN_IN_USE`, `TIMEOUT`
 */
export async function assertNoTwinUse(
  context: Context,
  operation: Operation,
  wwid: string,
  own: readonly string[]
): Promise<void> {
  const { files } = context.host
  const twins = await findTwins(files, wwid, own)
  await assertOneDevice(context, operation, wwid, { disk: undefined, twins })
  const maps = await Promise.all(twins.map(async ({ name }) => await findMapOn(files, name)))
  const plain = twins.filter((_, n) => maps[n] === undefined)
  if (plain.length > 0) await assertDisksFree(context, operation, { map: undefined, disks: plain, foreignPaths: [] })
}
