import type { Clock } from '../../src/host/clock.ts'

/** A clock on which sleeping takes no time: it only moves `now()`. */
export function createFakeClock(startMs = 0): Clock {
  let nowMs = startMs
  return {
    now: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      nowMs += ms
      await Promise.resolve()
      signal?.throwIfAborted()
    },
  }
}
