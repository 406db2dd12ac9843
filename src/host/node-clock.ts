import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from './clock.ts'

/** The machine's own time. */
export function createNodeClock(): Clock {
  return {
    now: () => performance.now(),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      try {
        await sleep(ms, undefined, signal === undefined ? {} : { signal })
      } catch (error) {
        signal?.throwIfAborted() // the caller's reason rather than Node's AbortError
        throw error
      }
    },
  }
}
