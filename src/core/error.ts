import type { ErrorDetails } from './error-details.ts'
import { oneLine } from './printable.ts'

/** Stable, greppable names for everything that can go wrong; `docs/errors.md` lists what to do about each. */
export type ErrorCode = keyof ErrorDetails

const BRAND = Symbol.for('xen-lun.error')

/**
 * The one error class of this library. Switch on {@link LunError.code}; the shape of `details` follows from it.
 *
 * @example
 * ```ts
 * import { attachLun, isLunError } from 'xen-lun'
 *
 * try {
 *   await attachLun({ target: 'iqn.2001-05.com.example:vm1', portals: ['10.0.1.1'] })
 * } catch (error) {
 *   if (isLunError(error, 'ISCSI_AUTH_FAILED')) console.error(`check the CHAP secret of ${error.details.target}`)
 *   else throw error
 * }
 * ```
 */
export class LunError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name: string = 'LunError'
  /** What went wrong, as a constant. */
  readonly code: C
  /** The facts behind it; free of secrets. */
  readonly details: ErrorDetails[C]

  constructor(code: C, message: string, details: ErrorDetails[C], options?: ErrorOptions) {
    // Much of it was said by others: a tool, an array, a file, a process. Whoever prints it is not to be steered by them.
    super(oneLine(message), options)
    this.code = code
    this.details = details
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** `LunError` as a discriminated union, so that `switch (error.code)` narrows `error.details`. */
export type AnyLunError = { [C in ErrorCode]: LunError<C> }[ErrorCode]

/** A test for errors of any of `codes`. */
export function hasCode(...codes: readonly ErrorCode[]): (error: unknown) => boolean {
  return error => codes.some(code => isLunError(error, code))
}

/** Whether `value` is a {@link LunError} (of that code); works across duplicate copies of this package. */
export function isLunError(value: unknown): value is AnyLunError
export function isLunError<C extends ErrorCode>(value: unknown, code: C): value is LunError<C>
export function isLunError(value: unknown, code?: ErrorCode): boolean {
  return value instanceof Error && BRAND in value && (code === undefined || ('code' in value && value.code === code))
}
