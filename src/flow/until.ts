import { isLunError, LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Clock } from '../host/clock.ts'

/** A wait: for what, and how long. */
export interface UntilOptions extends OperationOptions {
  /** Completes the sentence "timed out waiting for …". */
  readonly awaited: string
  readonly timeoutMs: number
  /** Least time between two looks. Default 30 ms. A look that is slow itself, or was made often, is repeated less often. */
  readonly everyMs?: number
  /** Most time between two looks, for a look that may wait for others itself. Default: no limit but `timeoutMs`. */
  readonly longestMs?: number
}

const EVERY_MS = 30
// On a busy or slow host the looking must not starve what it looks for.
const PAUSE_PER_LOOK = 9
// Nor must those who wait in this process starve each other: it is busy when a pause lasts longer than it was to. Once is
// no reason to be late.
const LONGEST_FOR_LAG_MS = 200
// What took long may be seen a little late.
const LATENESS = 0.02

/**
 * Looks until `look` answers something else than `undefined` or `false`, at least once even with no time left.
 *
 * @throws {@link LunError} `TIMEOUT`
 */
export async function until<T>(
  clock: Clock,
  look: () => Promise<T | undefined | false>,
  { awaited, timeoutMs, everyMs = EVERY_MS, longestMs = Infinity, signal }: UntilOptions
): Promise<T> {
  const begunMs = clock.now()
  const deadline = begunMs + timeoutMs
  let lagMs = 0
  for (;;) {
    if (signal?.aborted === true) throw withAwaited(signal.reason, awaited)
    const startedMs = clock.now()
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    const nowMs = clock.now()
    const busyMs = PAUSE_PER_LOOK * (nowMs - startedMs) + Math.min(LONGEST_FOR_LAG_MS, PAUSE_PER_LOOK * lagMs)
    const leftMs = deadline - nowMs
    const pauseMs = Math.min(leftMs, longestMs, Math.max(everyMs, busyMs, LATENESS * (nowMs - begunMs)))
    if (leftMs <= 0) {
      throw new LunError('TIMEOUT', `timed out after ${timeoutMs} ms waiting for ${awaited}`, { awaited, timeoutMs })
    }
    // An abort is seen at the next turn.
    await clock.sleep(pauseMs, signal).catch((error: unknown) => {
      if (signal?.aborted !== true) throw error
    })
    lagMs = Math.max(0, clock.now() - nowMs - pauseMs)
  }
}

/** A deadline of the whole operation tells the operation; what it was waiting for is known here. */
function withAwaited(reason: unknown, awaited: string): unknown {
  if (!isLunError(reason, 'TIMEOUT')) return reason
  const { details, message } = reason
  const awaitedBoth = `${details.awaited}: ${awaited}`
  return new LunError('TIMEOUT', `${message}: ${awaited}`, { ...details, awaited: awaitedBoth }, { cause: reason })
}
