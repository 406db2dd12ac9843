import assert from 'node:assert/strict'
import { presentLuns, rejection } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { installScript } from '../world/install.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { assertHandedOver, disk } from './disk.ts'

/** A second guest does not get the disk of the first, is told whose it is, and leaves the first one alone. */
async function sharedDisk(world: World): Promise<void> {
  const { guest } = world
  await installScript()
  const wwid = (await presentLuns(world, 0)).get(0)?.wwid ?? ''
  await guest.create({ name: 'g1', disks: [disk(world, 'xvda', 0)] })
  await guest.waitForBeat('v0')
  const { vbds } = await world.snapshot()
  const error = await rejection(async () => await guest.create({ name: 'g2', disks: [disk(world, 'xvda', 0)] }))
  assert.match(error.message, new RegExp(`\\bg1\\b|\\b[Dd]omain ${await guest.domid('g1')}\\b`))
  await until('the end of g2', async () => !(await guest.exists('g2')))
  await until("the end of g2's backend", async () => (await world.snapshot()).vbds.length === vbds.length)
  assert.deepEqual((await world.snapshot()).vbds, vbds)
  await assertHandedOver(world, wwid)
  await guest.waitForBeat('v0', { after: (await guest.beat('v0')) + 3 })
  await guest.destroy('g1')
  await world.expectClean()
  await guest.verifyLog('v0')
}

export const sharedDiskScenarios: readonly Scenario<World>[] = [
  {
    name: 'shared-disk',
    about: 'A second guest does not get the disk of the first, is told whose it is, and leaves the first one alone',
    onlyOnDom0: 'it takes guests, and xl to run them',
    isLong: true,
    timeoutMs: 400_000,
    run: sharedDisk,
  },
]
