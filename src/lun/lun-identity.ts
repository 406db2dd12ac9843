import { readBlockDevice } from '../block/block-device.ts'
import type { ScsiIdentity } from '../block/scsi.ts'
import { LunError } from '../core/error.ts'
import type { Context } from './context.ts'
import type { AttachWish } from './request.ts'

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

export function createLunIdentity({ host, ledger }: Context, wish: AttachWish): LunIdentity {
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
      const claims = [
        ['wwid', expected.wwid, found.wwid],
        ['serial', expected.serial, found.serial],
        ['size', expected.sizeBytes, sizeBytes],
        ...(first === undefined
          ? []
          : ([
              ['wwid', first.wwid, found.wwid],
              ['size', first.sizeBytes, sizeBytes],
            ] as const)),
      ] as const
      for (const [what, wanted, seen] of claims) {
        if (wanted !== undefined && wanted !== seen)
          throw mismatch(wish, disk, what, String(wanted), String(seen ?? 'none'))
      }
      if (first !== undefined) return
      first = { disk, wwid: found.wwid, sizeBytes }
      if (found.wwid !== undefined) await ledger.note(target, { wwids: { [lun]: found.wwid } })
    },
  }
}

/** The error for a device that is not the volume it should be. */
export function mismatch(
  { target, lun }: Pick<AttachWish, 'target' | 'lun'>,
  device: string,
  what: 'wwid' | 'serial' | 'size',
  expected: string,
  found: string
): LunError<'LUN_MISMATCH'> {
  const message = `LUN ${lun} of ${target} is not the volume expected: ${what} of ${device} is ${found}, not ${expected}`
  return new LunError('LUN_MISMATCH', message, { target, lun, what, expected, found })
}
