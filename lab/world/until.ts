import { setTimeout as delay } from 'node:timers/promises'

export interface UntilOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
}

/** Polls `probe` until it returns something other than `undefined` and `false`, and returns that. */
export const until = async <T>(
  awaited: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 30_000, everyMs = 100 }: UntilOptions = {}
): Promise<T> => {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (performance.now() >= deadline) throw new Error(`waited ${timeoutMs / 1000} s for ${awaited}`)
    await delay(everyMs)
  }
}
