/** Port to time. */
export interface Clock {
  /** Milliseconds on a clock that never jumps. */
  now(): number
  /** Rejects with `signal.reason` as soon as `signal` aborts. However long: `Infinity` waits for the signal alone. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
