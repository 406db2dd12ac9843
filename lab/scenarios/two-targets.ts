import assert from 'node:assert/strict'
import { type Detachment, detachLun, isLunError } from 'xen-lun'
import { attach, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { createOwnDisk } from '../world/own-disk.ts'
import { waitForReadyPaths } from '../world/paths.ts'
import type { World } from '../world/world.ts'
import { assertWrites, attachDisk, detachDisk, ownBackend } from './own-guest.ts'

const DETACH_MS = 90_000

/** Two controllers of one array, each a target behind its own portal. */
const first = target
const second = `${target}-b`

type Ending = PromiseSettledResult<Detachment>

async function detach({ host }: World, iqn: string): Promise<Detachment> {
  return await detachLun({ target: iqn, lun: 0 }, { host, timeoutMs: DETACH_MS })
}

async function settle(...work: readonly Promise<Detachment>[]): Promise<readonly Ending[]> {
  return await Promise.allSettled(work)
}

/** Orders in which both may be detached. */
const orders: Readonly<Record<string, (world: World) => Promise<readonly Ending[]>>> = {
  'both at once': async world => await settle(detach(world, first), detach(world, second)),
  'one after the other': async world => [
    ...(await settle(detach(world, first))),
    ...(await settle(detach(world, second))),
  ],
  'the one with the last path that works': async world => {
    const { san } = world
    await san.cutPortal(san.portals[1])
    await waitForReadyPaths(1)
    const endings = await settle(detach(world, first))
    await assertOnePath(world)
    await san.restorePortal(san.portals[1])
    await waitForReadyPaths(2)
    return endings
  },
}

async function assertOnePath(world: World): Promise<void> {
  const [map] = (await world.snapshot()).maps
  assert.ok((map?.disks.length ?? 0) > 0, 'the map has lost its last path')
}

/** One is refused at least, since then no path would be left, and by the name of who has the map. */
function assertOneRefused(endings: readonly Ending[]): void {
  const errors = endings.flatMap(ending => (ending.status === 'rejected' ? [ending.reason as unknown] : []))
  assert.ok(errors.length > 0, `none was refused: ${JSON.stringify(endings)}`)
  for (const error of errors) {
    assert.ok(isLunError(error, 'LUN_IN_USE'), error instanceof Error ? error.stack : String(error))
    const { users } = error.details
    assert.ok(
      users.some(({ kind, name }) => kind === ownBackend.kind && name === ownBackend.name),
      error.message
    )
  }
}

async function twoTargets(world: World): Promise<void> {
  const { san } = world
  await san.addVolume({ name: 'v0', sizeMiB: 64 })
  await san.addTarget({ iqn: first, luns: { 0: 'v0' }, portals: [san.portals[0]] })
  await san.addTarget({ iqn: second, luns: { 0: 'v0' }, portals: [san.portals[1]] })
  await using disk = await createOwnDisk(world)
  for (const [order, play] of Object.entries(orders)) {
    console.error(`LAB: two-targets: ${order}`)
    const { device } = await attach(world, { portals: [san.portals[0]] })
    const other = await attach(world, { target: second, portals: [san.portals[1]] })
    assert.equal(other.device, device)
    await waitForReadyPaths(2)
    await attachDisk(disk, `phy:${device},xvda,w`)
    await assertWrites(world, disk, `${order}: before`)
    assertOneRefused(await play(world))
    await assertOnePath(world)
    await assertWrites(world, disk, `${order}: after`)
    await detachDisk(disk)
    // One of them may have gone before.
    const endings = await settle(detach(world, first), detach(world, second))
    for (const ending of endings) {
      assert.ok(ending.status === 'fulfilled', ending.status === 'rejected' ? String(ending.reason) : '')
      assert.match(ending.value.outcome, /detached$/)
    }
    await world.expectClean()
  }
}

export const twoTargetScenarios: readonly Scenario<World>[] = [
  {
    name: 'two-targets',
    about: 'A guest has the map of a volume that two targets offer: in whatever order they are detached, a path stays',
    onlyOnDom0: 'it takes xl and blkback',
    isLong: true,
    timeoutMs: 400_000,
    run: twoTargets,
  },
]
