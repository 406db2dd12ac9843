/**
 * A value that must never be printed: every way of turning it into text answers `***`.
 *
 * `reveal()` is called where a node record is written (mode 0600), and nowhere else.
 *
 * @example
 * ```ts
 * import { Secret } from 'xen-lun'
 *
 * const password = new Secret('correct horse')
 * console.log(`${password.toString()} ${JSON.stringify({ password })}`) // *** {"password":"***"}
 * ```
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Do not log, store or pass on what it returns. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '***'
  }

  toJSON(): string {
    return '***'
  }
}
