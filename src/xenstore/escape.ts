import { LunError } from '../core/error.ts'
import { decodeText } from './wire.ts'

/**
 * A value as `xenstore-write` takes it. Without `-R` it reads backslash escapes, on every version of Xen
 * (unsanitise_value() of tools/xenstore/xs_lib.c). Bytes that may not be text are all escaped.
 */
export function escapeValue(value: string | Uint8Array): string {
  if (typeof value === 'string') return value.replaceAll('\\', '\\\\')
  return [...value].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}

const PIECE = /\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|([ntr\\"]))|([^\\]+)|(\\)/g
const LETTERS: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
])
const MAX_UTF8_BYTES = 3 // of one char of a JavaScript string

/**
 * The value `xenstore-read` printed. Without `-R` all but printable ASCII is escaped, byte by byte: `\\`, `\n`, `\t`,
 * `\r`, `\x7f`, `\001` (seen, Xen 4.20). Bytes that are not UTF-8 become U+FFFD.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT`
 */
export function unescapeValue(text: string): string {
  return decodeText(unescapeBytes(text))
}

/** The same, byte by byte. */
export function unescapeBytes(text: string): Uint8Array {
  const encoder = new TextEncoder()
  const bytes = new Uint8Array(MAX_UTF8_BYTES * text.length)
  let length = 0
  for (const [, hex, octal, letter, plain = ''] of text.matchAll(PIECE)) {
    if (hex !== undefined) bytes[length++] = Number.parseInt(hex, 16)
    else if (octal !== undefined) bytes[length++] = Number.parseInt(octal, 8)
    else if (letter !== undefined) bytes[length++] = (LETTERS.get(letter) ?? letter).charCodeAt(0)
    else if (plain !== '') length += encoder.encodeInto(plain, bytes.subarray(length)).written
    else throw unexpected(text)
  }
  return bytes.slice(0, length)
}

function unexpected(text: string): LunError<'UNEXPECTED_OUTPUT'> {
  const details = { tool: 'xenstore-read', line: 1, text: text.slice(0, 200) }
  return new LunError('UNEXPECTED_OUTPUT', 'xenstore-read printed a backslash that escapes nothing', details)
}
