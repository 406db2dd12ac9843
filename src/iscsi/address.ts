import { isLunError } from '../core/error.ts'
import { isIPv6 } from '../core/ip.ts'
import { type Iqn, iqn } from '../core/iqn.ts'
import { type Portal, portal } from '../core/portal.ts'

/** The portal of an address as open-iscsi stores it, IPv6 without brackets; `undefined` if it is none. */
export function readPortal(address: string, port: string): Portal | undefined {
  return unlessInvalid(() => portal(isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`))
}

/** The iSCSI name a text holds; `undefined` if it is none. */
export function readIqn(text: string): Iqn | undefined {
  return unlessInvalid(() => iqn(text))
}

const MAX_TPGT = 65_535

/** A target portal group tag; `undefined` for unknown, which open-iscsi writes as -1 and prints as 4294967295 too. */
export function readTpgt(text: string): number | undefined {
  const tpgt = /^\d{1,5}$/.test(text) ? Number(text) : MAX_TPGT + 1
  return tpgt <= MAX_TPGT ? tpgt : undefined
}

function unlessInvalid<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isLunError(error, 'INVALID_INPUT')) return undefined
    throw error
  }
}
