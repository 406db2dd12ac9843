import { type BlockDevice, findMapByWwid, findMapOn, multipathWwid, readBlockDevice } from '../block/block-device.ts'
import type { Hctl } from '../core/hctl.ts'
import type { Iqn } from '../core/iqn.ts'
import type { Files } from '../host/files.ts'
import type { IscsiSession } from '../iscsi/session.ts'
import type { Context } from './context.ts'
import { sessionKey } from './jobs.ts'
import type { TargetLedger } from './ledger.ts'
import { endpointKey } from './request.ts'
import type { Leftovers } from './teardown.ts'

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
  /** The map has paths besides these devices, through another target. */
  readonly isShared: boolean
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
  return {
    map:
      map?.dm === undefined || mapWwid === undefined ? undefined : { name: map.dm.name, dm: map.name, wwid: mapWwid },
    disks: disks.filter(disk => disk !== undefined),
    isShared: map?.slaves.some(slave => !names.includes(slave)) ?? false,
  }
}

/** A LUN as it is attached now, and what detaching it would take away. */
export interface FoundLun extends LunDescription {
  readonly wwid: string | undefined
  readonly leftovers: Leftovers
}

/** Finds what there is of a LUN by sysfs, and by the ledger where the devices are gone already. */
export async function findLun(
  context: Context,
  { target, lun }: { readonly target: Iqn; readonly lun: number },
  ledger: TargetLedger
): Promise<FoundLun> {
  const sessions = await context.iscsiadm.sessions({ target })
  const devices = await findDevices(context, sessions, lun)
  const found = await describeLun(context.host.files, devices, ledger.wwids[lun])
  const wwid = found.map?.wwid ?? ledger.wwids[lun]
  const ending = await withoutOtherLuns(context, endingSessions(sessions, devices, ledger, lun), lun)
  const entries = wwid === undefined || found.isShared ? [] : await context.multipath.wwids()
  return {
    ...found,
    wwid,
    leftovers: {
      map: found.isShared ? undefined : found.map,
      devices,
      // What was written went through the map, if there is one.
      isDirty: found.map === undefined,
      wwidEntries: entries.filter(entry => entry === wwid),
      sessions: ending,
      records: ending.length === sessions.length ? await recordsOf(context, target, ledger) : [],
    },
  }
}

async function recordsOf(
  { nodeDb }: Context,
  target: Iqn,
  { records: ours }: TargetLedger
): Promise<readonly string[]> {
  if (ours.length === 0) return []
  const { records } = await nodeDb.recordsOf(target)
  return records.filter(record => ours.includes(endpointKey(record))).map(({ path }) => path)
}

async function withoutOtherLuns(
  { scsi }: Context,
  sessions: readonly IscsiSession[],
  lun: number
): Promise<readonly IscsiSession[]> {
  const others = await Promise.all(
    sessions.map(async session => (await scsi.devices(session)).some(device => device.lun !== lun))
  )
  return sessions.filter((_, n) => others[n] === false)
}

/**
 * The sessions to end: those this library logged in. Where it knows nothing of the LUN (the ledger does not outlive
 * a boot, sessions with node.startup=automatic do), those the LUN lives on.
 */
function endingSessions(
  sessions: readonly IscsiSession[],
  devices: readonly LunDevice[],
  ledger: TargetLedger,
  lun: number
): readonly IscsiSession[] {
  const isKnown = ledger.wwids[lun] !== undefined || ledger.logins.length > 0
  const used = new Set(devices.map(({ session }) => session.sid))
  return sessions.filter(session => (isKnown ? ledger.logins.includes(sessionKey(session)) : used.has(session.sid)))
}
