import { fields, invalid, milliseconds } from './check.ts'

/** What every asynchronous call of this library accepts as its last argument. */
export interface OperationOptions {
  /**
   * Aborts the call: it rejects with `signal.reason`. A process already started is ended with SIGTERM,
   * except iscsiadm at work on its database, which would stay locked;
   * what iscsid or multipathd were told goes on, and `attachLun` undoes it before rejecting.
   */
  readonly signal?: AbortSignal | undefined
}

/** The least of each time that an option can be. Of none at all there are those that may be given up at once. */
const LEAST_MS = { timeoutMs: 1, undoTimeoutMs: 1, busyMs: 0 } as const
const FUNCTIONS = ['onEvent', 'handOver'] as const
const SWITCHES = ['force', 'apply', 'allowShrink'] as const

/**
 * Checks the options of a public call, whichever of them it has: what is not as it should be would be found out in the
 * middle of the work, or never, like a time that a timer takes for 1 ms.
 *
 * @throws {@link LunError} `INVALID_INPUT` naming the field
 */
export function checkOptions<T extends object>(options: T): T {
  const given: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(fields(options, 'options')))
  for (const [field, min] of Object.entries(LEAST_MS)) {
    if (given[field] !== undefined) milliseconds(given[field], field, min)
  }
  for (const field of FUNCTIONS) expectType(given[field], field, 'function')
  for (const field of SWITCHES) expectType(given[field], field, 'boolean')
  if (given['host'] !== undefined) fields(given['host'], 'host')
  const { signal } = given
  if (signal !== undefined && !isSignal(signal)) throw invalid('signal', signal, 'is no AbortSignal')
  return options
}

function expectType(value: unknown, field: string, type: 'function' | 'boolean'): void {
  if (value !== undefined && typeof value !== type) throw invalid(field, value, `is no ${type}`)
}

// Another realm has an AbortSignal of its own.
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value
}
