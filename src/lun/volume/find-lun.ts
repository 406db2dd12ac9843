import { type BlockDevice, findMapByWwid, findMapOn, multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import type { VolumeOnHost } from '../../block/volume.ts'
import type { Hctl } from '../../core/hctl.ts'
import type { Files } from '../../host/files.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import type { LunEntry } from '../journal/entries.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { Leftovers } from './leftovers.ts'

/** One SCSI device of a LUN, the disk the kernel made of it, and the session it came through. */
export interface LunDevice {
  readonly hctl: Hctl
  readonly disk: string | undefined
  readonly session: IscsiSession
}

/** Every device of a LUN that these sessions have. */
export async function findDevices(
  { scsi }: Context,
  sessions: readonly IscsiSession[],
  lun: number
): Promise<readonly LunDevice[]> {
  const found = await Promise.all(
    sessions.map(async session => {
      const hctl = (await scsi.devices(session)).find(device => device.lun === lun)
      return hctl === undefined ? [] : [{ hctl, disk: await scsi.disk(hctl), session }]
    })
  )
  return found.flat()
}

/** What stands on the devices of a LUN. */
export interface LunDescription {
  readonly map: { readonly name: string; readonly dm: string; readonly wwid: string } | undefined
  readonly disks: readonly BlockDevice[]
  /** Paths of the map besides these devices, through another target. */
  readonly foreignPaths: readonly string[]
  /** There are such paths. */
  readonly isShared: boolean
  /** Those of these disks that are no paths of the map. */
  readonly unmapped: readonly string[]
}

/** Finds the map of these devices, or by WWID where the devices are gone already. */
export async function describeLun(
  files: Files,
  devices: readonly LunDevice[],
  wwid: string | undefined
): Promise<LunDescription> {
  const names = devices.flatMap(({ disk }) => (disk === undefined ? [] : [disk]))
  const disks = await Promise.all(names.map(async name => await readBlockDevice(files, name)))
  const maps = await Promise.all(names.map(async name => await findMapOn(files, name)))
  const map =
    maps.find(found => found !== undefined) ?? (wwid === undefined ? undefined : await findMapByWwid(files, wwid))
  const mapWwid = multipathWwid(map)
  const foreignPaths = map?.slaves.filter(slave => !names.includes(slave)) ?? []
  return {
    map:
      map?.dm === undefined || mapWwid === undefined ? undefined : { name: map.dm.name, dm: map.name, wwid: mapWwid },
    disks: disks.filter(disk => disk !== undefined),
    foreignPaths,
    isShared: foreignPaths.length > 0,
    unmapped: names.filter(name => map?.slaves.includes(name) !== true),
  }
}

/** The disks and maps a LUN is on this host now. */
export async function findOnHost(context: Context, place: LunPlace, wwid: string | undefined): Promise<VolumeOnHost> {
  const devices = await findDevices(context, await context.iscsiadm.sessions(place), place.lun)
  return namesOf(await describeLun(context.host.files, devices, wwid), wwid)
}

/** A LUN's disks and map, as a volume to look for. */
export function namesOf({ disks, map }: Pick<LunDescription, 'disks' | 'map'>, wwid: string | undefined): VolumeOnHost {
  return { wwid, names: [...disks.map(({ name }) => name), ...(map === undefined ? [] : [map.dm])] }
}

/** A LUN as it is attached now, and what detaching it would take away. */
export interface FoundLun extends LunDescription {
  readonly wwid: string | undefined
  readonly devices: readonly LunDevice[]
  readonly leftovers: Leftovers
  /** Sessions the LUN lives on although this library knows nothing of it: it did not log them in. */
  readonly adopted: readonly number[]
}

/** Finds what there is of a LUN by sysfs, and by its entry in the journal where the devices are gone already. */
export async function findLun(context: Context, place: LunPlace, entry: LunEntry | undefined): Promise<FoundLun> {
  const { iscsiadm, multipath, journal, host } = context
  const sessions = await iscsiadm.sessions({ target: place.target })
  const devices = await findDevices(context, sessions, place.lun)
  const found = await describeLun(host.files, devices, entry?.wwid)
  const wwid = found.map?.wwid ?? entry?.wwid ?? (await nameOf(context, devices))
  const isListed = wwid !== undefined && !found.isShared && (await multipath.wwids()).includes(wwid)
  // The journal does not outlive a boot; sessions with node.startup=automatic do, in a way. Where it cannot be read, they
  // may be anybody's.
  const noted = entry === undefined ? await journal.tryTarget(place.target) : undefined
  const isKnown = noted === undefined || 'reason' in noted || noted.logins.length > 0
  return {
    ...found,
    wwid,
    devices,
    adopted: isKnown ? [] : devices.map(({ session }) => session.sid),
    leftovers: {
      map: found.isShared ? undefined : found.map,
      devices,
      // What is written goes through the map, if there is one.
      dirty: found.unmapped,
      wwid,
      // multipathd adds it with the map, which it may be making just now.
      wwidEntries: wwid !== undefined && !found.isShared && (isListed || devices.length > 0) ? [wwid] : [],
    },
  }
}

/** What the kernel knows of the volume. */
async function nameOf({ scsi }: Context, [first]: readonly LunDevice[]): Promise<string | undefined> {
  return first === undefined ? undefined : (await scsi.identity(first.hctl, { live: false })).wwid
}
