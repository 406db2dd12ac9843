import { readBlockDevice } from '../block/block-device.ts'
import { findXenBackends, type XenBackend } from '../block/xen-backends.ts'
import { checkOptions } from '../core/options.ts'
import type { Files } from '../host/files.ts'
import { createLocalHost } from '../host/local.ts'
import { isAlive, parseProcessId } from '../host/process-id.ts'
import type { IscsiSession } from '../iscsi/session.ts'
import type { MultipathMap } from '../multipath/maps.decode.ts'
import { nodeOf } from './attaching/device.ts'
import { type Context, createContext } from './context.ts'
import type { LunEntry } from './journal/entries.ts'
import type { JournalledLun, LunPlace } from './journal/journal.ts'
import { unlessUnsafe } from './journal/unless-unsafe.ts'
import { uptimeMs } from './journal/uptime.ts'
import { disksOfGuests, type GuestDisk, listGuests } from './listing/guests.ts'
import type { ListedAttachment, ListedMap, ListedOwner, Listing, ListOptions } from './listing/listing.ts'
import { countPaths, listPaths, type MapAnswer } from './listing/paths.ts'
import { type Told, tell } from './listing/told.ts'
import { isAtWork } from './locks.ts'
import { describeLun, findDevices, type LunDescription, type LunDevice } from './volume/find-lun.ts'

/**
 * Lists every LUN that this library holds or that an iSCSI session has: whose it is, on which paths, and how it fares.
 * Takes no lock and changes nothing; what goes while it looks is left out. Starts no process where multipathd's and
 * xenstored's sockets are in reach. Plain data, for `JSON.stringify` too, which leaves out what is undefined.
 *
 * @throws `signal.reason` on abort
 * @example
 * ```ts
 * import { listAttachments } from 'xen-lun'
 *
 * const { attachments, unknown } = await listAttachments()
 * for (const { target, lun, device, pathCount, guests } of attachments) {
 *   const names = guests.map(({ domain, vdev }) => (typeof domain === 'object' ? `${vdev} of ${domain.name}` : vdev))
 *   console.log(target, lun, device, `${pathCount.up} of ${pathCount.up + pathCount.down} paths`, names.join(', '))
 * }
 * if (unknown.xenstore !== undefined) console.log(`guests are unknown: ${unknown.xenstore}`)
 * ```
 */
export async function listAttachments(options: ListOptions = {}): Promise<Listing> {
  const { host = createLocalHost(), signal } = checkOptions(options)
  const context = createContext(host)
  await using xenstore = context.xenstore
  const luns = await findLuns(context)
  const flaws = await context.journal.unreadable()
  signal?.throwIfAborted()
  const hasMaps = luns.some(({ map }) => map !== undefined)
  const multipathd = await tell(async () => (hasMaps ? await context.multipath.maps({ signal }) : []), signal)
  const backends = await findXenBackends(host.files)
  const listed = await Promise.all(luns.map(async lun => await describe(context, lun, { multipathd, backends })))
  const guests = await listGuests(
    xenstore,
    listed.flatMap(({ disks }) => disks),
    signal
  )
  return {
    attachments: listed
      .map(({ attachment, disks }) => ({ ...attachment, guests: disks.map(disk => guests.of(disk)) }))
      .toSorted((a, b) => (a.target === b.target ? a.lun - b.lun : a.target < b.target ? -1 : 1)),
    unknown: {
      xenstore: guests.problem,
      multipathd: 'problem' in multipathd ? multipathd.problem : undefined,
      journal: flaws.length === 0 ? undefined : flaws.map(({ path, reason }) => `${path} ${reason}`).join('; '),
    },
  }
}

/** A LUN of the journal, of a session, or of both. */
interface FoundLun extends LunPlace, LunDescription {
  readonly entry: LunEntry | 'unknown' | undefined
  readonly isStale: boolean
  /** All of its target. */
  readonly sessions: readonly IscsiSession[]
  readonly devices: readonly LunDevice[]
}

async function findLuns(context: Context): Promise<readonly FoundLun[]> {
  const { iscsiadm, journal, scsi, host } = context
  const look = unlessUnsafe<readonly JournalledLun[] | undefined>(journal.luns(), undefined)
  const [sessions, noted] = await Promise.all([iscsiadm.sessions(), look])
  const seen = await Promise.all(
    sessions.map(async session =>
      (await scsi.devices(session)).map(({ lun }) => ({
        target: session.target,
        lun,
        entry: noted === undefined ? ('unknown' as const) : undefined,
        isStale: false,
      }))
    )
  )
  const told = (noted ?? []).map(place => ({ ...place, entry: place.entry ?? ('unknown' as const) }))
  const places = new Map([...seen.flat(), ...told].map(place => [`${place.target},${place.lun}`, place]))
  const found = await Promise.all(
    [...places.values()].map(async (place): Promise<FoundLun> => {
      const own = sessions.filter(({ target }) => target === place.target)
      const devices = await findDevices(context, own, place.lun)
      const description = await describeLun(host.files, devices, place.isStale ? undefined : knownOf(place)?.wwid)
      return { ...place, ...description, sessions: own, devices }
    })
  )
  // An array's controller is a device without a disk.
  return found.filter(({ entry, disks }) => entry !== undefined || disks.length > 0)
}

/** What is known of its entry. */
function knownOf({ entry }: Pick<FoundLun, 'entry'>): LunEntry | undefined {
  return entry === 'unknown' ? undefined : entry
}

interface Around {
  readonly multipathd: Told<readonly MultipathMap[]>
  readonly backends: readonly XenBackend[]
}

async function describe(
  context: Context,
  found: FoundLun,
  { multipathd, backends }: Around
): Promise<{
  readonly attachment: Omit<ListedAttachment, 'guests'>
  readonly disks: readonly GuestDisk[]
}> {
  const { host, scsi, journal } = context
  const { target, lun, isStale, map, disks, devices } = found
  const entry = knownOf(found)
  const block = map === undefined ? disks[0] : await readBlockDevice(host.files, map.dm)
  const [first] = devices
  const kernelName = first === undefined ? undefined : (await scsi.identity(first.hctl, { live: false })).wwid
  const told = 'answer' in multipathd ? multipathd.answer.find(({ device }) => device === map?.dm) : 'unknown'
  const noted = entry === undefined || isStale ? undefined : await journal.tryTarget(target)
  const logins = noted === undefined || 'reason' in noted ? [] : noted.logins
  const paths = await listPaths(scsi, { ...found, logins, told })
  const users = [map === undefined ? undefined : block, ...disks].filter(device => device !== undefined)
  const attachment: Omit<ListedAttachment, 'guests'> = {
    target,
    lun,
    wwid: entry?.wwid ?? map?.wwid ?? kernelName,
    device: block === undefined ? undefined : nodeOf(block).device,
    sizeBytes: block?.sizeBytes,
    map: map === undefined ? undefined : listMap(map, told),
    owners: found.entry === 'unknown' ? 'unknown' : isStale ? [] : await listOwners(host.files, entry),
    paths,
    pathCount: countPaths(paths),
    isBusy: await isAtWork(host, found),
    isStale,
  }
  return { attachment, disks: disksOfGuests(isStale ? undefined : entry, users, backends) }
}

function listMap({ name, dm }: { readonly name: string; readonly dm: string }, told: MapAnswer): ListedMap {
  if (told === 'unknown' || told === undefined) return { name, dm, state: 'unknown', queuesIfNoPath: 'unknown' }
  return { name, dm, state: told.state, queuesIfNoPath: told.queuesIfNoPath }
}

async function listOwners(files: Files, entry: LunEntry | undefined): Promise<readonly ListedOwner[]> {
  return await Promise.all(
    [...(entry?.owners ?? [])].map(async ([name, { state, process, expiry }]) => {
      const id = parseProcessId(process)
      const isProcessAlive = id === undefined ? ('unknown' as const) : await isAlive(files, id)
      const expiresInMs =
        expiry === undefined ? undefined : Math.max(0, Math.round(expiry.untilMs - (await uptimeMs(files))))
      return { name, state, pid: id === undefined ? undefined : Number(id.pid), isProcessAlive, expiresInMs }
    })
  )
}
