import type { Clock } from '../host/clock.ts'
import { type Locks, lockTimeout } from '../host/locks.ts'
import { createTurns } from './turns.ts'

/**
 * Lets the tasks of this process take turns before they ask `locks`, so that one lock costs one process, however
 * many of us want it.
 */
export function queued(locks: Locks, clock: Clock): Locks {
  const turns = createTurns()
  return {
    withLock: async (name, task, options) => {
      const startedMs = clock.now()
      // The queue must not see signal or timeout: it would free the slot while the task still runs.
      return await turns.take(name, async () => {
        options.signal?.throwIfAborted()
        const timeoutMs = options.timeoutMs - (clock.now() - startedMs)
        if (timeoutMs <= 0) throw lockTimeout(name, options.timeoutMs)
        return await locks.withLock(name, task, { ...options, timeoutMs })
      })
    },
  }
}
