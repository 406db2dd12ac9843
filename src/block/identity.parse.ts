import type { Wwid } from '../core/wwid.ts'
import { wwid } from '../core/wwid.ts'

/**
 * Turns the `wwid` attribute of sysfs into the form of udev and multipath-tools: the designator type digit of SPC-5
 * 7.7.6.1 in front (1 T10 vendor, 2 EUI-64, 3 NAA, 8 SCSI name string) and no separators.
 */
export function toWwid(text: string | undefined): Wwid | undefined {
  if (text === undefined) return undefined
  const [, kind, designator = ''] = /^(naa|eui|t10)\.(.*)$/s.exec(text) ?? []
  const plain = designator.trim().replaceAll(/\s+/g, '_')
  const name = { naa: `3${plain}`, eui: `2${plain}`, t10: `1${plain}` }[kind ?? ''] ?? `8${text.trim()}`
  try {
    return wwid(name)
  } catch {
    return undefined // bytes no tool could name either
  }
}

const HEADER_BYTES = 4

/** The serial number in VPD page 0x80, SPC-5 7.7.19; `undefined` for a page shorter than it says. */
export function parseSerialPage(page: Uint8Array | undefined): string | undefined {
  if (page === undefined || page.length <= HEADER_BYTES || page[1] !== 0x80) return undefined
  const length = ((page[2] ?? 0) << 8) | (page[3] ?? 0)
  if (page.length < HEADER_BYTES + length) return undefined
  const serial = new TextDecoder('latin1').decode(page.subarray(HEADER_BYTES, HEADER_BYTES + length)).trim()
  return serial === '' ? undefined : serial
}
