import type { Brand } from './brand.ts'
import { invalid } from './check.ts'

/**
 * World wide identifier of a LUN as udev (`ID_SERIAL`) and multipath-tools write it: the designator type digit of
 * SCSI VPD page 0x83 and the designator, e.g. `36001405a1b2…` for an NAA name.
 */
export type Wwid = Brand<string, 'Wwid'>

const MAX_CHARS = 127 // WWID_SIZE - 1, multipath-tools libmultipath/defaults.h
const WWID = /^[A-Za-z0-9][A-Za-z0-9._:+-]{2,}$/

/**
 * Checks a WWID.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function wwid(text: string, field = 'wwid'): Wwid {
  const found = readWwid(text)
  if (found === undefined) throw invalid(field, text, 'is not a WWID such as 36001405…')
  return found
}

/** The WWID a value is; `undefined` if it is none. */
export function readWwid(value: unknown): Wwid | undefined {
  return typeof value === 'string' && value.length <= MAX_CHARS && WWID.test(value) ? (value as Wwid) : undefined
}
