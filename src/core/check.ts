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
