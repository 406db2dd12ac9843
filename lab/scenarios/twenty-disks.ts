import assert from 'node:assert/strict'
import { presentLuns } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { readText } from '../world/files.ts'
import { installScript, scriptLog } from '../world/install.ts'
import type { World } from '../world/world.ts'
import { disk } from './disk.ts'

const count = 20
const letters = 'abcdefghijklmnopqrst'

/** How long each `add` had been going, from the start of its process, as the log says since it was so long. */
function addTimes(since: number): readonly number[] {
  const done = /: add: done after (\d+) ms$/
  return readText(scriptLog)
    .slice(since)
    .split('\n')
    .flatMap(line => done.exec(line)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b)
}

async function twentyDisks(world: World): Promise<void> {
  const { guest } = world
  await installScript()
  const luns = Array.from({ length: count }, (_, lun) => lun)
  await presentLuns(world, ...luns)
  const disks = luns.map(lun => disk(world, `xvd${letters[lun]}`, lun))
  const since = readText(scriptLog).length
  await guest.create({ name: 'g1', disks })
  const times = addTimes(since)
  assert.equal(times.length, count)
  const { sessions, maps } = await world.snapshot()
  assert.equal(maps.length, count)
  assert.equal(sessions.length, world.san.portals.length)
  console.log(`     ${count} disks: add took ${times[0]} to ${times.at(-1)} ms; ${sessions.length} sessions`)
  await guest.destroy('g1')
  await world.expectClean()
}

export const twentyDiskScenarios: readonly Scenario<World>[] = [
  {
    name: 'twenty-disks',
    about: 'xl adds twenty disks of a guest at the same time: one login per portal, all within the time xl gives',
    onlyOnDom0: 'it takes a guest, and xl to run it',
    isLong: true,
    timeoutMs: 400_000,
    run: twentyDisks,
  },
]
