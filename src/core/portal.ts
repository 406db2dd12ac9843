import { invalid } from './check.ts'
import { isIP, isIPv6 } from './ip.ts'

/** Where a target listens. `host` is an IPv4 or IPv6 address (no brackets) or a DNS name, in lower case. */
export interface Portal {
  readonly host: string
  readonly port: number
}

/** The port IANA assigned to iSCSI. */
export const ISCSI_PORT = 3260

const MAX_CHARS = 253 + ':65535'.length
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
const BRACKETED = /^\[([^\]]+)\](?::(\d{1,5}))?$/
const PLAIN = /^([^:]+)(?::(\d{1,5}))?$/

/**
 * Reads `10.0.0.1`, `10.0.0.1:3261`, `[fd00::1]:3260`, `fd00::1` or `san.example.com:3260`; the port defaults to 3260.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 * @example
 * ```ts
 * import { portal } from 'xen-lun'
 *
 * portal('[FD00::1]') // { host: 'fd00::1', port: 3260 }
 * ```
 */
export function portal(text: string, field = 'portal'): Portal {
  const found = readPortalText(text)
  if (typeof found === 'string') throw invalid(field, text, found)
  return found
}

/** The portal a text holds, or the reason why it is none. An error for each would take long in a long listing. */
export function readPortalText(text: string): Portal | string {
  if (typeof text !== 'string' || text.length > MAX_CHARS) return 'is not a portal'
  if (isIPv6(text)) return { host: text.toLowerCase(), port: ISCSI_PORT }
  const [, bracketed, bracketedPort] = BRACKETED.exec(text) ?? []
  if (bracketed !== undefined && !isIPv6(bracketed)) return 'holds no IPv6 address in brackets'
  const [, plain, plainPort] = PLAIN.exec(text) ?? []
  const host = (bracketed ?? plain ?? '').toLowerCase()
  const port = Number(bracketedPort ?? plainPort ?? ISCSI_PORT)
  if (!isIP(host) && !isDnsName(host)) return 'is not a portal (address or address:port)'
  if (port < 1 || port > 65_535) return 'has no port from 1 to 65535'
  return { host, port }
}

// All digits and dots, yet no IPv4 address, is a typing error rather than a name.
function isDnsName(host: string): boolean {
  return DNS_NAME.test(host) && !/^[\d.]+$/.test(host)
}

/** `10.0.0.1:3260`, `[fd00::1]:3260`: the form open-iscsi takes and prints. */
export function formatPortal({ host, port }: Portal): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether both name the same address and port, however the IPv6 address is written. */
export function samePortal(a: Portal, b: Portal): boolean {
  return portalKey(a) === portalKey(b)
}

/** The same text for the same portal, however its IPv6 address is written. */
export function portalKey({ host, port }: Portal): string {
  return formatPortal({ host: canonicalHost(host), port })
}

function canonicalHost(host: string): string {
  const [address = '', ...zone] = host.split('%')
  if (!isIPv6(address)) return host.toLowerCase()
  return [new URL(`http://[${address}]/`).hostname.slice(1, -1), ...zone].join('%')
}
