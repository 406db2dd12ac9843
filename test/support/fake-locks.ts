import type { Locks } from '../../src/host/locks.ts'

/** Locks nobody else wants; `held` lists those taken, in order. */
export function createFakeLocks(): Locks & { readonly held: readonly string[] } {
  const held: string[] = []
  return {
    held,
    withLock: async (name, task) => {
      held.push(name)
      return await task()
    },
  }
}
