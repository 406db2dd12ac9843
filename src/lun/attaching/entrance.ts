import { LunError } from '../../core/error.ts'
import type { Context } from '../context.ts'
import { withLun, withTarget } from '../locks.ts'
import type { Operation } from '../operation.ts'

const LOCK_MS = 30_000

/**
 * Decides how the local work on a path begins. While the attach has the locks itself, at once. Later it asks for them: a
 * path whose portal answered late comes when others may have the target, or the LUN was detached.
 */
export interface Entrance {
  /** For all work on the path. */
  readonly withLun: <T>(work: () => Promise<T>) => Promise<T>
  /** For what makes the LUN live on a session: nobody may log it out meanwhile. */
  readonly withTarget: <T>(work: () => Promise<T>) => Promise<T>
  /** The attach is about to let go of the target's lock: resolves when no work relies on it any more. */
  readonly leaveTarget: () => Promise<void>
  /** The attach is over. */
  readonly leaveLun: () => void
}

export function createEntrance(context: Context, operation: Operation, signal: AbortSignal): Entrance {
  const running = new Set<Promise<unknown>>()
  let hasTarget = true
  let hasLun = true
  const limits = { timeoutMs: LOCK_MS, signal }
  return {
    withLun: async work => (hasLun ? await work() : await whileAttached(context, operation, signal, work)),
    withTarget: async work => {
      if (!hasTarget) return await withTarget(context.host, operation.target, limits, work)
      const task = work()
      const settled = task.then(
        () => {},
        () => {}
      )
      running.add(settled)
      try {
        return await task
      } finally {
        running.delete(settled)
      }
    },
    leaveTarget: async () => {
      hasTarget = false
      await Promise.all(running)
    },
    leaveLun: () => {
      hasLun = false
    },
  }
}

type Place = Pick<Operation, 'target' | 'lun' | 'owner'>

/** Runs `work` with the LUN to itself, unless it was detached meanwhile: nobody wants its paths back then. */
export async function whileAttached<T>(
  context: Context,
  place: Place,
  signal: AbortSignal,
  work: () => Promise<T>
): Promise<T> {
  return await withLun(context.host, place, { timeoutMs: LOCK_MS, signal }, async () => {
    await assertHeld(context, place)
    return await work()
  })
}

/** The caller has the LUN's lock. @throws {@link LunError} `LUN_NOT_FOUND` when the owner does not hold it any more */
export async function assertHeld({ journal }: Context, place: Place): Promise<void> {
  const { target, lun, owner } = place
  if ((await journal.lun(place))?.owners.get(owner)?.state === 'attached') return
  throw new LunError('LUN_NOT_FOUND', `LUN ${lun} of ${target} is no longer attached`, { target, lun, hctls: [] })
}
