import type { Looks } from '../host/looks.ts'

/** Looks that those who ask at the same time share. */
export function createLooks(): Looks {
  const running = new Map<string, Promise<unknown>>()
  const next = new Map<string, Promise<unknown>>()
  return {
    share: async <T>(name: string, look: () => Promise<T>): Promise<T> => {
      const begin = async (): Promise<T> => {
        await running.get(name)?.catch(() => {})
        next.delete(name)
        const found = look()
        running.set(name, found)
        return await found
      }
      const shared = (next.get(name) as Promise<T> | undefined) ?? begin()
      next.set(name, shared)
      return await shared
    },
  }
}
