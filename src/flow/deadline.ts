import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Clock } from '../host/clock.ts'
import { onAbort } from './on-abort.ts'

/** How long a task may take, and what it was waiting for if it takes longer. */
export interface DeadlineOptions extends OperationOptions {
  readonly timeoutMs: number
  /** Completes "timed out waiting for …"; asked at the deadline. */
  readonly awaited: () => string
}

/**
 * Runs `task` with a signal that fires on the caller's signal, with its reason, or at the deadline,
 * with a `TIMEOUT`. The task decides how to end; this waits until it has.
 */
export async function withDeadline<T>(
  clock: Clock,
  { signal, timeoutMs, awaited }: DeadlineOptions,
  task: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  signal?.throwIfAborted()
  const stop = new AbortController()
  const done = new AbortController()
  const ignore = onAbort(signal, () => stop.abort(signal?.reason))
  const onDeadline = (): void => {
    const what = awaited()
    const message = `timed out after ${timeoutMs} ms waiting for ${what}`
    stop.abort(new LunError('TIMEOUT', message, { awaited: what, timeoutMs }))
  }
  clock.sleep(timeoutMs, done.signal).then(onDeadline, () => {})
  try {
    return await task(stop.signal)
  } finally {
    done.abort()
    ignore()
  }
}
