import { listAttachments } from '../../lun/list.ts'
import type { ListedGuest } from '../../lun/list-guests.ts'
import type { PathCount } from '../../lun/list-paths.ts'
import type { ListedAttachment, Listing } from '../../lun/listing.ts'
import type { Io } from '../io.ts'
import { type Report, table } from '../report.ts'

const HEAD = ['TARGET', 'LUN', 'DEVICE', 'PATHS', 'GUESTS', 'OWNERS'] as const
const NONE = '-'

/** Lists what is attached, and what could not be found out. */
export async function reportStatus({ host, signal }: Io): Promise<Report> {
  const listing = await listAttachments({ host, signal })
  return { json: listing, lines: describe(listing), exitCode: 0 }
}

function describe({ attachments, unknown }: Listing): readonly string[] {
  if (attachments.length === 0) return ['nothing is attached']
  const { xenstore, multipathd } = unknown
  return [
    ...table([HEAD, ...attachments.map(toRow)]),
    ...(xenstore === undefined ? [] : [`guests are unknown: ${xenstore}`]),
    ...(multipathd === undefined ? [] : [`multipathd's side of the paths is unknown: ${multipathd}`]),
  ]
}

function toRow({ target, lun, device, pathCount, guests, owners, isStale }: ListedAttachment): readonly string[] {
  const names = owners.map(({ name, state }) => (state === 'attached' ? name : `${name} (${state})`))
  return [
    target,
    String(lun),
    device ?? NONE,
    describePaths(pathCount),
    guests.map(describeGuest).join(', ') || NONE,
    isStale ? 'of an earlier boot' : names.join(', ') || NONE,
  ]
}

function describePaths({ up, down, unknown }: PathCount): string {
  const all = up + down + unknown
  return unknown === 0 ? `${up}/${all}` : `${up}/${all}, ${unknown} unknown`
}

function describeGuest({ domid, vdev, domain }: ListedGuest): string {
  return `${typeof domain === 'object' ? domain.name : `domain ${domid}`}:${vdev}`
}
