import type { Brand } from '../../core/brand.ts'
import { invalid } from '../../core/check.ts'

/** Who holds a LUN: a vbd's backend path, relative to this domain's home, or any name. */
export type OwnerName = Brand<string, 'OwnerName'>

const MAX_CHARS = 200
const NAME = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
const BACKEND = /^(?:\/local\/domain\/\d{1,5}\/)?(backend\/(?:vbd|qdisk)\/(\d{1,5})\/\d{1,10})$/

/** Who attaches when the caller does not say. */
export const DEFAULT_OWNER = 'default' as OwnerName

/**
 * Checks an owner's name; both forms of a XENBUS_PATH are one owner, since a backend directory is always our own.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function ownerName(text: string | undefined): OwnerName {
  if (text === undefined) return DEFAULT_OWNER
  if (typeof text !== 'string' || text.length > MAX_CHARS || !NAME.test(text)) {
    throw invalid('owner', text, 'is not a name of printable ASCII characters')
  }
  return (BACKEND.exec(text)?.[1] ?? text) as OwnerName
}

/** Who holds a LUN for a while after `owner`, its last one, let go of it. */
export function lingerName(owner: OwnerName): string {
  return `linger:${owner}`.slice(0, MAX_CHARS).trimEnd()
}

/** The domain a backend serves; undefined for an owner that is no backend. */
export function domainOf(owner: string): number | undefined {
  const domid = BACKEND.exec(owner)?.[2]
  return domid === undefined ? undefined : Number(domid)
}
