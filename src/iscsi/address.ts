import { isIP, isIPv6 } from '../core/ip.ts'
import { ISCSI_PORT, type Portal } from '../core/portal.ts'

const MAX_PORT = 65_535
const MAX_CHARS = 255 // NI_MAXHOST is longer, VALUE_MAXVAL of usr/idbm.h is not
// All digits and dots, yet no IPv4 address, is none either.
const NAME = /^(?![\d.]+$)\w[\w.-]*$/
const ZONED = /^([^%]+)%([!-~]+)$/

/**
 * The portal of an address as open-iscsi stores it, IPv6 without brackets; `undefined` if it is none. This is what the
 * host says, not what a caller asks for: what iscsiadm takes is a portal, such as `fe80::1%eth1`, or a name that DNS
 * would not have.
 */
export function readPortal(address: string, port: string): Portal | undefined {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0
  const host = readHost(address)
  return host === undefined || number < 1 || number > MAX_PORT ? undefined : { host, port: number }
}

function readHost(text: string): string | undefined {
  if (text.length > MAX_CHARS) return undefined
  // The name of a network interface has its case.
  const [, zoned, zone = ''] = ZONED.exec(text) ?? []
  if (zoned !== undefined && !/[/,[\]]/.test(zone)) {
    return isIPv6(zoned) ? `${zoned.toLowerCase()}%${zone}` : undefined
  }
  return isIP(text) || NAME.test(text) ? text.toLowerCase() : undefined
}

/** The portal of a text in the form that open-iscsi prints, see `formatPortal`. */
export function readPortalName(text: string): Portal | undefined {
  const [, bracketed, plain = '', port = String(ISCSI_PORT)] =
    /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  return readPortal(bracketed ?? plain, port)
}

const MAX_TPGT = 65_535

/** A target portal group tag; `undefined` for unknown, which open-iscsi writes as -1 and prints as 4294967295 too. */
export function readTpgt(text: string): number | undefined {
  const tpgt = /^\d{1,5}$/.test(text) ? Number(text) : MAX_TPGT + 1
  return tpgt <= MAX_TPGT ? tpgt : undefined
}
