import type { Clock } from '../host/clock.ts'

/** What ends the wait for a piece of work before it does. */
export interface Limits {
  readonly clock: Clock
  /** Resolves with an error that nobody caught. */
  readonly crash?: Promise<unknown>
  /** Undefined: work that nobody waits for. */
  readonly limitMs: number | undefined
  readonly overdue: () => Error
  /** Called when the wait has ended and the work has not. */
  readonly onAbandoned?: () => void
}

/** Settles as `work` does, but at `limitMs` at the latest, whatever `work` waits for: it may not hear of signals. */
export async function inTime<T>({ clock, crash, limitMs, overdue, onAbandoned }: Limits, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  let isSettled = false
  const settle = (): void => {
    isSettled = true
  }
  // Before the race hears of it.
  void work.then(settle, settle)
  const broken = crash?.then((error): never => {
    throw error
  })
  const late = async (ms: number): Promise<never> => {
    await clock.sleep(ms, done.signal)
    throw overdue()
  }
  try {
    const ends = [broken, limitMs === undefined ? undefined : late(limitMs)].filter(end => end !== undefined)
    return await Promise.race([work, ...ends])
  } finally {
    done.abort()
    if (!isSettled) onAbandoned?.()
  }
}
