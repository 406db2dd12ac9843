import { readBlockDevice } from '../../block/block-device.ts'
import type { ScsiIdentity } from '../../block/scsi.ts'
import { LunError } from '../../core/error.ts'
import type { Wwid } from '../../core/wwid.ts'
import type { Context } from '../context.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { AttachWish } from '../request.ts'

/** Who the LUN is: set by the first path that is read, binding for every other one. */
export interface LunIdentity {
  /** Undefined for a LUN that names itself nowhere. */
  readonly wwid: string | undefined
  readonly sizeBytes: number | undefined
  /**
   * Compares what a path shows with the request and with the other paths.
   *
   * @throws {@link LunError} `LUN_MISMATCH`
   */
  check(disk: string, found: ScsiIdentity): Promise<void>
}

/** `held` is the WWID of the volume somebody has this LUN for already. */
export function createLunIdentity({ host, journal }: Context, wish: AttachWish, held: Wwid | undefined): LunIdentity {
  const { target, lun, expected } = wish
  let first: { readonly disk: string; readonly wwid: string | undefined; readonly sizeBytes: number } | undefined
  return {
    get wwid() {
      return first?.wwid
    },
    get sizeBytes() {
      return first?.sizeBytes
    },
    check: async (disk, found) => {
      const sizeBytes = (await readBlockDevice(host.files, disk))?.sizeBytes ?? 0
      assertExpected(wish, { wwid: held }, disk, { ...found, sizeBytes })
      assertExpected(wish, expected, disk, { ...found, sizeBytes })
      if (first !== undefined) assertExpected(wish, first, disk, { ...found, sizeBytes })
      if (first !== undefined) return
      first = { disk, wwid: found.wwid, sizeBytes }
      if (found.wwid !== undefined) await journal.noteWwid({ target, lun }, found.wwid)
    },
  }
}

/**
 * Compares what a device shows with what it must be, as far as that was said.
 *
 * @throws {@link LunError} `LUN_MISMATCH`
 */
export function assertExpected(
  place: LunPlace,
  wanted: { readonly wwid?: string | undefined; readonly serial?: string; readonly sizeBytes?: number },
  device: string,
  found: { readonly wwid: string | undefined; readonly serial: string | undefined; readonly sizeBytes: number }
): void {
  const claims = [
    ['wwid', wanted.wwid, found.wwid],
    ['serial', wanted.serial, found.serial],
    ['size', wanted.sizeBytes, found.sizeBytes],
  ] as const
  for (const [what, expected, seen] of claims) {
    if (expected !== undefined && expected !== seen) {
      throw mismatch(place, device, what, String(expected), String(seen ?? 'none'))
    }
  }
}

/** The error for a device that is not the volume it should be. */
export function mismatch(
  { target, lun }: LunPlace,
  device: string,
  what: 'wwid' | 'serial' | 'size',
  expected: string,
  found: string
): LunError<'LUN_MISMATCH'> {
  const message = `LUN ${lun} of ${target} is not the volume expected: ${what} of ${device} is ${found}, not ${expected}`
  return new LunError('LUN_MISMATCH', message, { target, lun, what, expected, found })
}
