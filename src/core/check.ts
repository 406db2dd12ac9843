import { LunError } from './error.ts'

const SHOWN_CHARS = 60

/** Untrusted text for an error message: quoted, escaped and cut. */
export function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : asText(value)
  const cut = text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text
  return JSON.stringify(cut)
}

function asText(value: unknown): string {
  try {
    return String(value)
  } catch {
    return typeof value // an object without toString
  }
}

/** The error for input that is refused before anything is touched. */
export function invalid(field: string, value: unknown, reason: string): LunError<'INVALID_INPUT'> {
  return new LunError('INVALID_INPUT', `${field}: ${quoted(value)} ${reason}`, { field, reason })
}

/** Checks an integer within `[min, max]`. */
export function integer(value: unknown, field: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(field, value, `is not an integer from ${min} to ${max}`)
  }
  return value
}

/** What a timer can count, in Node as elsewhere. */
export const LONGEST_MS: number = 2 ** 31 - 1

/** Checks a time; fractions are one. */
export function milliseconds(value: unknown, field: string, min: number, max: number = LONGEST_MS): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw invalid(field, value, `is not a number of milliseconds from ${min} to ${max}`)
  }
  return value
}

/** Refuses what has no fields. */
export function fields<T>(value: T, field: string): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, value, 'is no object')
  return value
}
