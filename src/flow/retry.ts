import pRetry from 'p-retry'
import type { OperationOptions } from '../core/options.ts'
import type { Clock } from '../host/clock.ts'

/** When to try again. */
export interface RetryOptions extends OperationOptions {
  /** Only these errors are worth another try; every other one is final. */
  readonly isPassing: (error: unknown) => boolean
  /** No new try starts later than this after the first. */
  readonly withinMs: number
  /** Pause before the second try; it doubles each time. */
  readonly firstPauseMs: number
  /** The longest pause. Default 2 s. */
  readonly maxPauseMs?: number
}

/** Runs `task` again while its error is passing and there is time. Rejects with the last error. */
export async function retry<T>(
  clock: Clock,
  task: () => Promise<T>,
  { isPassing, withinMs, firstPauseMs, maxPauseMs = 2000, signal }: RetryOptions
): Promise<T> {
  const deadline = clock.now() + withinMs
  signal?.throwIfAborted()
  // p-retry gets no signal: it would drop the answer of a task that succeeded while the signal fired.
  const result = pRetry(
    async () => {
      signal?.throwIfAborted()
      return await task()
    },
    {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      // The pause is ours, so that it runs on the clock port.
      shouldRetry: async ({ error, attemptNumber }) => {
        if (!isPassing(error)) return false
        const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** (attemptNumber - 1))
        if (clock.now() + pauseMs > deadline) return false
        await clock.sleep(pauseMs, signal)
        return true
      },
    }
  )
  return await result.catch((error: unknown) => {
    // p-retry turns a reason that is no Error into a TypeError of its own.
    signal?.throwIfAborted()
    throw error
  })
}
