import { invalid } from '../core/check.ts'

/** An object out of a file that people write. */
export type ConfigObject = Readonly<Record<string, unknown>>

/**
 * Reads a JSON object that has no other members than `known`, so that a typing error does not pass for a default.
 *
 * @throws {@link LunError} `INVALID_INPUT`; it holds nothing of the text, which may have secrets
 */
export function parseConfig(text: string, path: string, known: readonly string[]): ConfigObject {
  return checkMembers(parse(text, path), path, known)
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // JSON.parse's own message quotes the text.
    throw invalid('file', path, 'is not valid JSON')
  }
}

/** An object with no other members than `known`. @throws {@link LunError} `INVALID_INPUT` */
export function checkMembers(value: unknown, where: string, known: readonly string[]): ConfigObject {
  if (!isObject(value)) throw invalid('file', where, 'is not a JSON object')
  const stranger = Object.keys(value).find(name => !known.includes(name))
  if (stranger === undefined) return value
  throw invalid('file', where, `has a member ${JSON.stringify(stranger.slice(0, 40))}; there are ${known.join(', ')}`)
}

function isObject(value: unknown): value is ConfigObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
