import type { Hctl } from '../../core/hctl.ts'

/** What is to go of a LUN. */
export interface Leftovers {
  /** The map to flush. */
  readonly map: { readonly name: string; readonly wwid: string } | undefined
  /** The LUN's SCSI devices. */
  readonly devices: readonly { readonly hctl: Hctl; readonly disk: string | undefined }[]
  /** Disks to which somebody may have written by themselves: those in no map, and those that had users of their own. */
  readonly dirty: readonly string[]
  /** The volume, if it is known. */
  readonly wwid: string | undefined
  /** Entries of multipath's wwids file, as far as they are there. */
  readonly wwidEntries: readonly string[]
}

export function isNothing({ map, devices, wwidEntries }: Leftovers): boolean {
  return map === undefined && devices.length === 0 && wwidEntries.length === 0
}
