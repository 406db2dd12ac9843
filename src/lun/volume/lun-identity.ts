import { readBlockDevice } from '../../block/block-device.ts'
import type { ScsiIdentity } from '../../block/scsi.ts'
import { LunError } from '../../core/error.ts'
import type { Wwid } from '../../core/wwid.ts'
import type { Context } from '../context.ts'
import type { LunPlace } from '../journal/journal.ts'
import { withVolume } from '../locks.ts'
import type { Operation } from '../operation.ts'
import type { AttachWish } from '../request.ts'

/** Who the LUN is: set by the first path that tells, binding for every other one. */
export interface LunIdentity {
  /** Undefined for a LUN that names itself nowhere. */
  readonly wwid: string | undefined
  /**
   * Compares what a path shows with the request and with the other paths.
   *
   * @throws {@link LunError} `LUN_MISMATCH`; `DEVICE_UNREADABLE` for a path that says nothing where others do
   */
  check(disk: string, found: ScsiIdentity): Promise<void>
}

/** `held` is the WWID of the volume somebody has this LUN for already. */
export function createLunIdentity(
  { host, journal }: Context,
  limits: Pick<Operation, 'timeoutMs' | 'signal'>,
  wish: AttachWish,
  held: Wwid | undefined
): LunIdentity {
  const { target, lun, expected } = wish
  let wwid: Wwid | undefined
  let sized: string | undefined
  let noted: Promise<void> | undefined
  const sizeOf = async (disk: string): Promise<number | undefined> => {
    const sizeBytes = (await readBlockDevice(host.files, disk))?.sizeBytes ?? 0
    return sizeBytes > 0 ? sizeBytes : undefined
  }
  return {
    get wwid() {
      return wwid
    },
    check: async (disk, found) => {
      const seen = { ...found, sizeBytes: await sizeOf(disk) }
      assertExpected(wish, expected, disk, seen)
      for (const known of [held, wwid]) {
        if (known !== undefined && found.wwid === undefined) throw nameless(disk, known)
        assertExpected(wish, { wwid: known }, disk, seen)
      }
      // As it is now: the LUN may have been resized since the first path was up.
      const sizeBytes = sized === undefined ? undefined : await sizeOf(sized)
      if (sizeBytes !== undefined) assertExpected(wish, { sizeBytes }, disk, seen)
      if (seen.sizeBytes !== undefined) sized ??= disk
      const name = found.wwid
      if (name === undefined) return
      wwid ??= name
      // From then on nobody flushes the map by another target: whoever is just about to is let finish.
      noted ??= withVolume(host, name, limits, async () => await journal.noteWwid({ target, lun }, name))
      await noted
    },
  }
}

function nameless(device: string, wwid: string): LunError<'DEVICE_UNREADABLE'> {
  const reason = `it does not say which volume it is, and others say ${wwid}`
  return new LunError('DEVICE_UNREADABLE', `${device} cannot be used: ${reason}`, { device, reason })
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
  found: {
    readonly wwid: string | undefined
    readonly serial: string | undefined
    /** Undefined is not known, and compared with nothing. */
    readonly sizeBytes: number | undefined
  }
): void {
  const claims = [
    ['wwid', wanted.wwid, found.wwid],
    ['serial', wanted.serial, found.serial],
    ['size', wanted.sizeBytes, found.sizeBytes],
  ] as const
  for (const [what, expected, seen] of claims) {
    if (what === 'size' && seen === undefined) continue
    if (expected !== undefined && expected !== seen) {
      throw mismatch(place, device, what, String(expected), String(seen ?? 'none'))
    }
  }
}

/** Compares the size of the device itself. @throws {@link LunError} `LUN_MISMATCH` */
export function assertSize(place: LunPlace, wanted: number | undefined, device: string, sizeBytes: number): void {
  if (wanted === undefined || wanted === sizeBytes) return
  throw mismatch(place, device, 'size', String(wanted), String(sizeBytes))
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
