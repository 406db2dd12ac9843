import type { Host } from '../host/host.ts'
import { createContext } from '../lun/context.ts'
import { findLun } from '../lun/find-lun.ts'

/** A LUN that somebody holds. */
export interface AttachmentStatus {
  readonly target: string
  readonly lun: number
  /** Undefined until a path has told. */
  readonly wwid: string | undefined
  /** The map, or the disk where there is none; undefined while there is neither. */
  readonly device: string | undefined
  readonly paths: { readonly up: number; readonly total: number }
  readonly owners: readonly { readonly name: string; readonly state: string }[]
}

export type ListAttachments = (options: {
  readonly host: Host
  readonly signal: AbortSignal
}) => Promise<readonly AttachmentStatus[]>

/** What the journal has of this boot, and what sysfs has of it. */
export const listAttachments: ListAttachments = async ({ host, signal }) => {
  const context = createContext(host)
  const luns = (await context.journal.luns()).filter(({ isStale }) => !isStale)
  const all = luns.map(async ({ entry, target, lun }): Promise<AttachmentStatus> => {
    const { map, disks, devices, wwid } = await findLun(context, { target, lun }, entry)
    const up = devices.filter(({ disk, session }) => disk !== undefined && session.state === 'logged-in').length
    const owners = Object.entries(entry.owners).map(([name, { state }]) => ({ name, state }))
    const device = map === undefined ? disks[0] && `/dev/${disks[0].name}` : `/dev/mapper/${map.name}`
    return { target, lun, wwid, device, paths: { up, total: devices.length }, owners }
  })
  const found = await Promise.all(all)
  signal.throwIfAborted()
  return found
}
