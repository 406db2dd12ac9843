import { listAttachments } from '../../lun/list.ts'
import type { ListedGuest } from '../../lun/listing/guests.ts'
import type { ListedAttachment, ListedOwner, Listing } from '../../lun/listing/listing.ts'
import type { Io } from '../io.ts'
import { type Report, table } from '../report.ts'

const HEAD = ['TARGET', 'LUN', 'WWID', 'DEVICE', 'PATHS', 'STATE', 'OWNERS'] as const
const SECOND_MS = 1000

/** Lists what is attached. */
export async function reportStatus({ host, signal }: Io): Promise<Report> {
  const listing = await listAttachments({ host, signal })
  return { json: listing, lines: describe(listing), exitCode: 0 }
}

function describe({ attachments, unknown }: Listing): readonly string[] {
  return [
    ...(attachments.length === 0 ? ['nothing is attached'] : table([HEAD, ...attachments.map(toRow)])),
    ...attachments.flatMap(describeProblems),
    ...(unknown.xenstore === undefined ? [] : [`guests are unknown: ${unknown.xenstore}`]),
    ...(unknown.journal === undefined ? [] : [`owners are unknown: ${unknown.journal}`]),
    ...(unknown.multipathd === undefined ? [] : [`maps and paths are unknown: ${unknown.multipathd}`]),
  ]
}

function toRow(lun: ListedAttachment): readonly string[] {
  const { up, down, unknown } = lun.pathCount
  const paths = `${unknown > 0 ? '?' : up}/${up + down + unknown}`
  return [lun.target, String(lun.lun), lun.wwid ?? '-', lun.device ?? '-', paths, stateOf(lun), ownersOf(lun)]
}

/** The gravest thing there is to say. */
function stateOf({ isStale, isBusy, map, pathCount: { up, down, unknown } }: ListedAttachment): string {
  if (isStale) return 'stale'
  if (isBusy) return 'busy'
  if (map !== undefined && map.state !== 'active') return map.state === 'unknown' ? '?' : map.state
  if (unknown > 0) return '?'
  if (up === 0) return 'no paths'
  return down > 0 ? 'degraded' : 'ok'
}

function ownersOf({ owners, guests }: ListedAttachment): string {
  const others = guests.filter(({ isOwner }) => !isOwner).map(guest => `${nameOf(guest)} (not by xen-lun)`)
  if (owners === 'unknown') return ['?', ...others].join(', ')
  const names = owners.map(owner => {
    const guest = guests.find(({ backend }) => backend === owner.name)
    return `${guest === undefined ? owner.name : nameOf(guest)}${remarks(owner)}`
  })
  return [...names, ...others].join(', ') || '-'
}

/** `guest1 xvda` */
function nameOf({ domain, domid, vdev }: ListedGuest): string {
  if (domain === 'unknown') return `domain ${domid} ? ${vdev}`
  if (domain === undefined) return `domain ${domid} ${vdev} (gone)`
  return `${domain.name ?? `domain ${domid}`} ${vdev}`
}

function remarks({ state, expiresInMs }: ListedOwner): string {
  const seconds = expiresInMs === undefined ? undefined : Math.ceil(expiresInMs / SECOND_MS)
  const words = [
    ...(state === 'attached' ? [] : [state]),
    ...(seconds === undefined ? [] : [seconds === 0 ? 'expired' : `${seconds} s left`]),
  ]
  return words.length === 0 ? '' : ` (${words.join(', ')})`
}

/** What hotplug scripts left for the toolstack. */
function describeProblems({ target, lun, guests }: ListedAttachment): readonly string[] {
  return guests.flatMap(guest => {
    const { status } = guest
    if (typeof status !== 'object') return []
    const { hotplugError, hotplugStatus } = status
    const isFailed = hotplugStatus === 'error' || hotplugStatus === 'busy'
    const problem = hotplugError ?? (isFailed ? `hotplug-status is ${hotplugStatus}` : undefined)
    return problem === undefined ? [] : [`problem  LUN ${lun} of ${target}: ${nameOf(guest)}: ${problem}`]
  })
}
