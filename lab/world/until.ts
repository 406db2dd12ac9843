import { setTimeout as delay } from 'node:timers/promises'

export interface UntilOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
}

const defaultTimeoutMs = 30_000

/** Polls `probe` until it returns something other than `undefined` and `false`, and returns that. */
export const until = async <T>(
  awaited: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = defaultTimeoutMs, everyMs = 100 }: UntilOptions = {}
): Promise<T> => {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (performance.now() >= deadline) throw new Error(`waited ${timeoutMs / 1000} s for ${awaited}`)
    await delay(everyMs)
  }
}

/** What `work` resolves with, unless that takes too long. */
export const within = async <T>(awaited: string, work: Promise<T>, timeoutMs = defaultTimeoutMs): Promise<T> => {
  const done = new AbortController()
  const timeout = async (): Promise<never> => {
    await delay(timeoutMs, undefined, { signal: done.signal })
    throw new Error(`waited ${timeoutMs / 1000} s for ${awaited}`)
  }
  try {
    return await Promise.race([work, timeout()])
  } finally {
    done.abort()
  }
}
