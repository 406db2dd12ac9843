const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)
const MAX_IPV6_CHARS = 45

/** An IPv4 address in dotted decimal, or an IPv6 address without brackets or zone. */
export function isIP(text: string): boolean {
  return IPV4.test(text) || isIPv6(text)
}

/** An IPv6 address without brackets or zone. */
export function isIPv6(text: string): boolean {
  return (
    text.length <= MAX_IPV6_CHARS &&
    /^[0-9a-f:.]+$/i.test(text) &&
    text.includes(':') &&
    URL.canParse(`http://[${text}]/`)
  )
}
