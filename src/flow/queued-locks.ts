import PQueue from 'p-queue'
import { type Locks, lockTimeout } from '../host/locks.ts'

/**
 * Lets the tasks of this process take turns before they ask `locks`, so that one lock costs one process, however
 * many of us want it.
 */
export function queued(locks: Locks): Locks {
  const queues = new Map<string, PQueue>()
  return {
    withLock: async (name, task, options) => {
      const queue = queues.get(name) ?? new PQueue({ concurrency: 1 })
      queues.set(name, queue)
      const startedMs = performance.now()
      // p-queue must not see signal or timeout: it would free the slot while the task still runs.
      return await queue.add(async () => {
        options.signal?.throwIfAborted()
        const timeoutMs = options.timeoutMs - (performance.now() - startedMs)
        if (timeoutMs <= 0) throw lockTimeout(name, options.timeoutMs)
        return await locks.withLock(name, task, { ...options, timeoutMs })
      })
    },
  }
}
