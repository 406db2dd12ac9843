import type { Context } from './context.ts'
import type { FoundLun } from './find-lun.ts'
import type { Operation } from './operation.ts'

/** What `force` adds to a detach. */
export interface Force {
  /** Fails the I/O that keeps the map busy. False where that is not wanted, or some path still works. */
  letGo(): Promise<boolean>
  /** The LUN stays after all: lets its I/O wait again. */
  restore(): Promise<void>
  /** I/O was failed, and so is lost. */
  isLost(): boolean
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
  return {
    isLost: () => isLost,
    letGo: async () => {
      if (isLost) return true
      if (!isWanted || map === undefined) return false
      const { paths = [] } = (await multipath.map(map.name)) ?? {}
      if (paths.some(({ dmState }) => dmState === 'active')) return false
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
