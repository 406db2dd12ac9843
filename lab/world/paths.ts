import type { WatchedPath } from 'xen-lun/testing'
import { snapshot } from './state.ts'
import { until } from './until.ts'

const watchedPaths = async (): Promise<readonly WatchedPath[]> =>
  (await snapshot()).watched?.flatMap(map => map.paths) ?? []

const patience = { timeoutMs: 90_000, everyMs: 300 }

/** Waits until multipathd can use exactly so many paths of all the host has. */
export const waitForReadyPaths = async (count: number): Promise<void> => {
  const isReady = ({ dmState, checker }: WatchedPath): boolean => dmState === 'active' && checker === 'ready'
  await until(`${count} ready paths`, async () => (await watchedPaths()).filter(isReady).length === count, patience)
}

/** Waits until multipathd has given up each of so many paths. */
export const waitForFailedPaths = async (count: number): Promise<void> => {
  await until(
    `${count} failed paths and no other`,
    async () => {
      const paths = await watchedPaths()
      return paths.length === count && paths.every(({ dmState }) => dmState === 'failed')
    },
    patience
  )
}
