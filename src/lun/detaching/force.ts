import { isLunError, LunError } from '../../core/error.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import { assertUnused } from '../volume/in-use.ts'
import type { VolumeDevices } from '../volume/users.ts'
import { restoreQueueing } from './queueing.ts'

/** How long what looks at a device for a moment may keep it. */
const BUSY_MS = 1000

/** What `force` adds to a detach. */
export interface Force {
  /**
   * Fails the I/O that keeps the map busy. False where that is not wanted, or some path still works.
   *
   * @throws {@link LunError} `LUN_IN_USE` where others than processes use the volume, before anything is failed
   */
  letGo(): Promise<boolean>
  /** The LUN stays after all: lets its I/O wait again. */
  restore(): Promise<void>
  /** I/O was failed, and so is lost. */
  isLost(): boolean
  /** Adds to the error of a busy LUN that only force will help, or that it did not. */
  advise(error: unknown): Promise<unknown>
}

/**
 * With `queue_if_no_path` a writer waits for ever in the kernel for a path that never comes, and nothing but failing its
 * I/O frees it. Only for this map, only when no path works, else it would be written, and only when it is proven that
 * nobody but processes uses the volume: a file system's writes would be lost, and it would stay.
 */
export function createForce(
  context: Context,
  operation: Pick<Operation, 'target' | 'lun' | 'signal' | 'emit'>,
  volume: VolumeDevices,
  isWanted: boolean
): Force {
  const { multipath, journal } = context
  const { map } = volume
  let isLost = false
  let isNoted = false
  const isDead = async (): Promise<boolean> => {
    // A map that multipathd does not know may have any paths.
    const known = map === undefined ? undefined : await multipath.map(map.name)
    return known !== undefined && !known.paths.some(({ dmState }) => dmState === 'active')
  }
  return {
    isLost: () => isLost,
    advise: async error => {
      if (!isLunError(error, 'LUN_IN_USE')) return error
      const advice = isLost
        ? 'what waited to be written to it is lost'
        : 'no path to it works, so what it writes waits for ever unless the detach is told to force'
      if (!isLost && (isWanted || !(await isDead().catch(() => false)))) return error
      return new LunError('LUN_IN_USE', `${error.message}; ${advice}`, error.details, { cause: error })
    },
    letGo: async () => {
      if (isLost) return true
      if (!isWanted || map === undefined || !(await isDead())) return false
      await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isFlushed: true })
      // Before its effect: whoever finds the map after a crash has it wait again.
      isNoted = true
      await journal.noteUnqueued(operation, map.wwid)
      await multipath.disableQueueing(map.name)
      isLost = true
      operation.emit({ type: 'warning', message: `no path to ${map.name} works: what was being written to it is lost` })
      return true
    },
    restore: async () => {
      if (isNoted) await restoreQueueing(context, operation)
    },
  }
}
