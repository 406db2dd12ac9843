import { LunError } from '../core/error.ts'

/** A value as `xenstore-write` takes it. Without `-R` it reads backslash escapes, on every version of Xen. */
export function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\')
}

const PIECE = /\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|([ntr\\"]))|([^\\]+)|(\\)/g
const LETTERS: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
])

/**
 * The value `xenstore-read` printed. Without `-R` all but printable ASCII is escaped, byte by byte: `\\`, `\n`, `\t`,
 * `\r`, `\x7f`, `\001` (seen, Xen 4.20). Bytes that are not UTF-8 become U+FFFD.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT`
 */
export function unescapeValue(text: string): string {
  const encoder = new TextEncoder()
  const bytes = [...text.matchAll(PIECE)].flatMap(([, hex, octal, letter, plain = '']) => {
    if (hex !== undefined) return [Number.parseInt(hex, 16)]
    if (octal !== undefined) return [Number.parseInt(octal, 8) & 0xff]
    if (letter !== undefined) return [...encoder.encode(LETTERS.get(letter) ?? letter)]
    if (plain !== '') return [...encoder.encode(plain)]
    const details = { tool: 'xenstore-read', line: 1, text: text.slice(0, 200) }
    throw new LunError('UNEXPECTED_OUTPUT', 'xenstore-read printed a backslash that escapes nothing', details)
  })
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))
}
