import type { Clock } from '../host/clock.ts'
import { type LockOptions, type Locks, lockTimeout } from '../host/locks.ts'
import { createTurns } from './turns.ts'

/** The time for which this process keeps a lock while more of its tasks come: others want it too. */
const LONGEST_MS = 2000

/** A lock that this process has, and its tasks that rely on it. */
interface Hold {
  readonly sinceMs: number
  /** Each with its lane; without one it has the lock to itself. */
  readonly running: Map<Promise<void>, string | undefined>
  readonly release: () => Promise<void>
}

/**
 * Lets the tasks of this process share what `locks` gives: a lock is taken once for those that want it at about the same
 * time, which costs one process instead of one each. They run one after the other, in the order they came; those that
 * answer a {@link LockOptions.lane} run beside those of other lanes.
 */
export function queued(locks: Locks, clock: Clock): Locks {
  const turns = createTurns()
  const holds = new Map<string, Hold>()
  const wanted = new Map<string, number>()
  const want = (name: string, more: 1 | -1): number => {
    const count = (wanted.get(name) ?? 0) + more
    if (count > 0) wanted.set(name, count)
    else wanted.delete(name)
    return count
  }
  const obtain = async (name: string, options: LockOptions): Promise<Hold> => {
    const present = holds.get(name)
    if (present !== undefined && clock.now() - present.sinceMs < LONGEST_MS) return present
    if (present !== undefined) {
      await Promise.all(present.running.keys())
      holds.delete(name)
      await present.release()
    }
    const hold = await open(locks, clock, name, options)
    holds.set(name, hold)
    return hold
  }
  return {
    withLock: async (name, task, options) => {
      const startedMs = clock.now()
      const rest = (): LockOptions => {
        options.signal?.throwIfAborted()
        const timeoutMs = options.timeoutMs - (clock.now() - startedMs)
        if (timeoutMs <= 0) throw lockTimeout(name, options.timeoutMs)
        return { ...options, timeoutMs }
      }
      want(name, 1)
      try {
        // The queue must not see signal or timeout: it would free the slot while the task still runs.
        const { result } = await turns.take(name, async () => {
          const hold = await obtain(name, rest())
          const lane = await options.lane?.()
          for (const [other, itsLane] of hold.running) {
            if (lane === undefined || itsLane === lane) await other
          }
          rest()
          const running = start(hold, task, lane)
          if (lane === undefined) await running.settled
          return running
        })
        return await result
      } finally {
        if (want(name, -1) === 0) {
          const hold = holds.get(name)
          holds.delete(name)
          await hold?.release()
        }
      }
    },
  }
}

/** Takes a lock, and keeps it until it is released. */
async function open(locks: Locks, clock: Clock, name: string, options: LockOptions): Promise<Hold> {
  return await new Promise<Hold>((resolve, reject) => {
    let end = (): void => {}
    const released = new Promise<void>(done => {
      end = done
    })
    const keep = async (): Promise<void> => {
      const release = async (): Promise<void> => {
        end()
        await kept
      }
      resolve({ sinceMs: clock.now(), running: new Map(), release })
      await released
    }
    const kept = locks.withLock(name, keep, options)
    kept.catch(reject)
  })
}

function start<T>(
  hold: Hold,
  task: () => Promise<T>,
  lane: string | undefined
): { readonly result: Promise<T>; readonly settled: Promise<void> } {
  const result = task()
  const settled = result.then(
    () => {},
    () => {}
  )
  hold.running.set(settled, lane)
  void settled.then(() => hold.running.delete(settled))
  return { result, settled }
}
