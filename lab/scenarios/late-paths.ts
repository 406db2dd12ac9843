import assert from 'node:assert/strict'
import { presentLuns } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { listNames, readText } from '../world/files.ts'
import { assertSnapshotWorks, installScript, scriptLog } from '../world/install.ts'
import { createOwnDisk } from '../world/own-disk.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { disk as diskLine } from './disk.ts'

const LATE_MS = 120_000

/** How the call is run: the launcher leaves one that says where xenstored is to no other process. */
const ways = {
  'in the process that serves': { env: {}, processes: 0 },
  'in a process of its own': { env: { XENSTORED_PATH: '/run/xenstored/socket' }, processes: 1 },
} as const

/** The processes that go on with nothing but the missing paths of one disk. */
const completing = (): number =>
  listNames('/proc').filter(name => /^\d+$/.test(name) && readText(`/proc/${name}/cmdline`).endsWith('\0complete\0'))
    .length

async function pathCount(world: World): Promise<number | undefined> {
  return (await world.snapshot()).maps[0]?.disks.length
}

async function latePaths(world: World): Promise<void> {
  const { san } = world
  const [, late] = san.portals
  await installScript()
  await presentLuns(world, 0)
  await using disk = await createOwnDisk(world)
  for (const [way, { env, processes }] of Object.entries(ways)) {
    console.error(`LAB: late-paths: ${way}`)
    const since = readText(scriptLog).length
    const logged = (): string => readText(scriptLog).slice(since)
    const addWithout = async (): Promise<void> => {
      await san.cutPortal(late)
      const { exitCode, text, tookMs } = await disk.attach(diskLine(world, 'xvda', 0), env)
      assert.equal(exitCode, 0, text)
      console.error(`LAB:   attach ${tookMs} ms`)
      assert.equal(await pathCount(world), 1)
      await until('the run for the missing path', () => completing() === processes)
    }
    try {
      await addWithout()
      await san.restorePortal(late)
      await until('the late path', async () => (await pathCount(world)) === 2, { timeoutMs: LATE_MS })
      await until('its end', () => logged().includes('complete: 2 of 2 paths are up') && completing() === 0)
      assert.equal((await disk.detach()).exitCode, 0)
      await world.expectClean()

      // Nobody waits for the path of a disk that is gone.
      await addWithout()
      assert.equal((await disk.detach()).exitCode, 0)
      await until('the end of the run', () => logged().match(/complete: done/g)?.length === 2 && completing() === 0)
      await san.restorePortal(late)
      await world.expectClean()
    } finally {
      console.error(logged())
    }
  }
  assertSnapshotWorks()
}

export const latePathScenarios: readonly Scenario<World>[] = [
  {
    name: 'late-paths',
    about:
      'The block script ends with one path of two; the other joins when its portal is back, unless the disk is gone',
    onlyOnDom0: 'it takes xl',
    isLong: true,
    timeoutMs: 600_000,
    run: latePaths,
  },
]
