import { isIPv6 } from '../core/ip.ts'
import { type Portal, readPortalText } from '../core/portal.ts'

/** The portal of an address as open-iscsi stores it, IPv6 without brackets; `undefined` if it is none. */
export function readPortal(address: string, port: string): Portal | undefined {
  const found = readPortalText(isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`)
  return typeof found === 'string' ? undefined : found
}

const MAX_TPGT = 65_535

/** A target portal group tag; `undefined` for unknown, which open-iscsi writes as -1 and prints as 4294967295 too. */
export function readTpgt(text: string): number | undefined {
  const tpgt = /^\d{1,5}$/.test(text) ? Number(text) : MAX_TPGT + 1
  return tpgt <= MAX_TPGT ? tpgt : undefined
}
