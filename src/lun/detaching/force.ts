import { isLunError, LunError } from '../../core/error.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import type { FoundLun } from '../volume/find-lun.ts'

/** What `force` adds to a detach. */
export interface Force {
  /** Fails the I/O that keeps the map busy. False where that is not wanted, or some path still works. */
  letGo(): Promise<boolean>
  /** The LUN stays after all: lets its I/O wait again. */
  restore(): Promise<void>
  /** I/O was failed, and so is lost. */
  isLost(): boolean
  /** Adds to the error of a busy LUN that only force will help. */
  advise(error: unknown): Promise<unknown>
}

/**
 * With `queue_if_no_path` a writer waits for ever in the kernel for a path that never comes, and nothing but failing its
 * I/O frees it. Only for this map, and only when no path works: else it would be written.
 */
export function createForce(
  { multipath }: Context,
  { emit }: Pick<Operation, 'emit'>,
  { map }: Pick<FoundLun, 'map'>,
  isWanted: boolean
): Force {
  let isLost = false
  const isDead = async (): Promise<boolean> => {
    if (map === undefined) return false
    const { paths = [] } = (await multipath.map(map.name)) ?? {}
    return !paths.some(({ dmState }) => dmState === 'active')
  }
  return {
    isLost: () => isLost,
    advise: async error => {
      if (isWanted || !isLunError(error, 'LUN_IN_USE') || !(await isDead().catch(() => false))) return error
      const advice = 'no path to it works, so what it writes waits for ever unless the detach is told to force'
      return new LunError('LUN_IN_USE', `${error.message}; ${advice}`, error.details, { cause: error })
    },
    letGo: async () => {
      if (isLost) return true
      if (!isWanted || map === undefined || !(await isDead())) return false
      await multipath.disableQueueing(map.name)
      isLost = true
      emit({ type: 'warning', message: `no path to ${map.name} works: what was being written to it is lost` })
      return true
    },
    restore: async () => {
      if (isLost && map !== undefined) await multipath.restoreQueueing(map.name).catch(() => {})
    },
  }
}
