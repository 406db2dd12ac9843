import { invalid, LONGEST_MS } from '../core/check.ts'
import { onAbort } from '../flow/on-abort.ts'
import type { Clock } from './clock.ts'

/** The machine's own time. */
export function createNodeClock(): Clock {
  return {
    now: () => performance.now(),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      if (Number.isNaN(ms)) throw invalid('ms', ms, 'is no time')
      let leftMs = ms
      // A timer for longer than Node can count would end after 1 ms.
      for (; leftMs > LONGEST_MS; leftMs -= LONGEST_MS) await pause(LONGEST_MS, signal)
      await pause(leftMs, signal)
    },
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      ignore()
      resolve()
    }, ms)
    const ignore = onAbort(signal, () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    })
  })
}
