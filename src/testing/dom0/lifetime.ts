import type { StorageArray } from './san.ts'
import type { Scheduler } from './scheduler.ts'

/** Time and SAN as one boot of the host meets them: after its end nothing that it began comes to an end. */
export interface Lifetime {
  readonly scheduler: Scheduler
  readonly array: StorageArray
  end(): void
}

export function createLifetime(scheduler: Scheduler, array: StorageArray): Lifetime {
  let isOver = false
  const alive = async <T>(happening: Promise<T>): Promise<T> => {
    const result = await happening
    if (isOver) await new Promise(() => {})
    return result
  }
  return {
    scheduler: {
      now: () => scheduler.now(),
      after: (ms, happen) =>
        scheduler.after(ms, () => {
          if (!isOver) happen()
        }),
      sleep: async (ms, signal) => await alive(scheduler.sleep(ms, signal)),
      turn: async turn => await alive(scheduler.turn(turn)),
    },
    array: {
      ...array,
      onChange: listener =>
        array.onChange(() => {
          if (!isOver) listener()
        }),
    },
    end: () => {
      isOver = true
    },
  }
}
