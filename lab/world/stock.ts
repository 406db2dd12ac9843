import { run, tryRun } from './run.ts'
import { until } from './until.ts'
import type { World } from './world.ts'

// What an administrator would do by hand, for scenarios that prove the lab itself.

export const iqn = 'iqn.2026-01.test.lab:stock'

const iscsiadm = (...args: readonly string[]): Promise<string> => run('iscsiadm', args)

/** iscsiadm on the records of the one target, `iqn`. */
const node = (...args: readonly string[]): Promise<string> => iscsiadm('--mode', 'node', '--targetname', iqn, ...args)

const discoverydb = ['--mode', 'discoverydb', '--type', 'sendtargets', '--portal']

const discover = ({ san }: World): Promise<string> => iscsiadm(...discoverydb, san.portals[0], '--discover')

const readyPaths = async (world: World, wwid: string): Promise<number> => {
  const map = (await world.snapshot()).watched?.find(watched => watched.wwid === wwid)
  return map?.paths.filter(path => path.dmState === 'active' && path.checker === 'ready').length ?? 0
}

const waitForPaths = (world: World, wwid: string, count: number): Promise<true> => {
  const probe = async (): Promise<true | undefined> => ((await readyPaths(world, wwid)) === count ? true : undefined)
  return until(`${count} ready paths of ${wwid}`, probe, { timeoutMs: 120_000, everyMs: 300 })
}

/** Logs in to all portals and waits for two paths to each of the maps. */
export const logIn = async (world: World, ...wwids: readonly string[]): Promise<void> => {
  await discover(world)
  await node('--login')
  for (const wwid of wwids) await waitForPaths(world, wwid, 2)
}

/** Removes the map, and multipathd's memory of it. */
const flush = async (wwid: string): Promise<void> => {
  // udev opens a map for a moment after its last writer has closed it, and the flush then finds it in use.
  const probe = async (): Promise<boolean> => (await tryRun('multipath', ['-f', wwid])).exitCode === 0
  await until(`the flush of ${wwid}`, probe, { timeoutMs: 20_000 })
  await run('multipath', ['-w', wwid])
}

/** Undoes `logIn`. */
export const logOut = async ({ san }: World, ...wwids: readonly string[]): Promise<void> => {
  for (const wwid of wwids) await flush(wwid)
  await node('--logout')
  await node('--op', 'delete')
  await iscsiadm(...discoverydb, san.portals[0], '--op', 'delete')
}
