// Only this library writes entries, atomically. Should one be damaged all the same, or be of a later version, then what it
// says is unknown, down to its last owner: to take it for nothing would be to take LUNs from those who hold them.

/** What an entry says; or why it cannot be read, which completes "PATH …". */
export type Parsed<T> = T | { readonly flaw: string }

export type Fields = Readonly<Record<string, unknown>>

/** Of entries. Who changes what one may hold counts it up, so that older versions keep off it. */
export const VERSION = 1

export const NO_BOOT = 'does not say of which boot it is'

export function formatEntry(fields: object, version: number = VERSION): string {
  return `${JSON.stringify({ version, ...fields }, undefined, 2)}\n`
}

/** The fields of an entry, or the reason why they are unknown. One without a version is of the first. */
export function parseEntry(text: string, latest: number = VERSION): Fields | string {
  const value = parseObject(text)
  if (value === undefined) return text.trim() === '' ? 'is empty' : 'is damaged'
  const { version = VERSION } = value
  const isKnown = typeof version === 'number' && Number.isInteger(version) && version >= VERSION && version <= latest
  return isKnown ? value : `is of version ${JSON.stringify(version)}, and this is version ${latest}`
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string' && item !== '')
}

// JSON can say 1e300, which nobody could wait for.
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

/** Undefined where a single one is not what is wanted. */
export function entriesOf<T>(
  value: unknown,
  isWanted: (item: unknown) => item is T
): readonly (readonly [string, T])[] | undefined {
  if (!isObject(value)) return undefined
  const entries = Object.entries(value)
  const wanted = entries.flatMap(([name, item]) => (name !== '' && isWanted(item) ? [[name, item] as const] : []))
  return wanted.length === entries.length ? wanted : undefined
}

/** Undefined where a single one cannot be read. */
export function listOf<T>(value: unknown, read: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined
  const found = value.map(read)
  const known = found.filter(item => item !== undefined)
  return known.length === found.length ? known : undefined
}
