import type { Brand } from '../core/brand.ts'
import { xenstoreInvalid } from './errors.ts'
import { MAX_PAYLOAD_BYTES } from './wire.ts'

/** A path in xenstore: absolute, or relative to the home of this domain, `/local/domain/0` in dom0. */
export type XenstorePath = Brand<string, 'XenstorePath'>

// Xen docs/misc/xenstore.txt and xen/include/public/io/xs_wire.h: XENSTORE_ABS_PATH_MAX, _REL_PATH_MAX
const MAX_ABSOLUTE = 3072
const MAX_RELATIVE = 2048
const PATH = /^(?:\/|\/?[A-Za-z0-9_@-]+(?:\/[A-Za-z0-9_@-]+)*)$/

/**
 * Checks a xenstore path. Dots and colons are not allowed in one: an iSCSI name cannot be part of it.
 *
 * @throws {@link LunError} `XENSTORE_INVALID`
 */
export function xenstorePath(text: string): XenstorePath {
  if (typeof text !== 'string' || text.length > MAX_ABSOLUTE) throw xenstoreInvalid(text, 'is no xenstore path')
  if (!text.startsWith('/') && text.length > MAX_RELATIVE)
    throw xenstoreInvalid(text, 'is too long for a relative path')
  if (!PATH.test(text)) throw xenstoreInvalid(text, 'is no xenstore path')
  return text as XenstorePath
}

/** Checks that `value` can be stored at `path`: both fit into one message, and a text is well-formed, without a NUL. */
export function checkXenstoreValue<T extends string | Uint8Array>(path: XenstorePath, value: T): T {
  if (typeof value !== 'string' && !((value as unknown) instanceof Uint8Array)) {
    throw xenstoreInvalid(path, 'is given a value that is neither text nor bytes')
  }
  if (typeof value === 'string' && /[\0\p{Surrogate}]/u.test(value)) {
    throw xenstoreInvalid(path, 'is given a value with a NUL or half a character')
  }
  const bytes = path.length + 1 + toBytes(value).length
  if (bytes > MAX_PAYLOAD_BYTES) throw xenstoreInvalid(path, `is given a value too long: ${bytes} bytes with the path`)
  return value
}

export function toBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? new TextEncoder().encode(value) : value
}
