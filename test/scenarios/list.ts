import assert from 'node:assert/strict'
import { listAttachments } from 'xen-lun'
import { attach, presentLuns, target } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

async function listing(world: World): Promise<void> {
  const volumes = await presentLuns(world, 0, 1)
  const { host } = world
  const nothing = { xenstore: undefined, multipathd: undefined, journal: undefined }
  assert.deepEqual(await listAttachments({ host }), { attachments: [], unknown: nothing })
  const first = await attach(world)
  const second = await attach(world, { lun: 1 }, { owner: 'backup' })

  const { result, executed } = await world.traceProcesses(async () => await listAttachments({ host }))
  assert.deepEqual(executed, [])
  assert.deepEqual(result.unknown, nothing)
  assert.deepEqual(
    result.attachments.map(each => [each.target, each.lun, each.wwid, each.device, each.sizeBytes]),
    [first, second].map(({ lun, device }) => [target, lun, volumes.get(lun)?.wwid, device, 64 << 20])
  )
  assert.deepEqual(
    result.attachments.map(({ owners, guests, pathCount, map }) => [
      typeof owners === 'string' ? owners : owners[0]?.name,
      guests,
      pathCount,
      map?.state,
    ]),
    ['default', 'backup'].map(name => [name, [], { up: 2, down: 0, unknown: 0 }, 'active'])
  )
  for (const { paths } of result.attachments) {
    assert.deepEqual(
      paths.map(({ portal, state, session, device, checker }) => [portal, state, session, device, checker]),
      world.san.portals.map(portal => [portal, 'up', 'logged-in', 'running', 'ready'])
    )
  }

  await second.detach()
  await world.daemons.multipathd.stop()
  const without = await listAttachments({ host })
  await world.daemons.multipathd.start()
  assert.match(without.unknown.multipathd ?? '', /multipathd/)
  assert.deepEqual(
    without.attachments.map(({ lun, device, pathCount }) => [lun, device, pathCount]),
    [[0, first.device, { up: 0, down: 0, unknown: 2 }]]
  )
  await first.detach()
  assert.deepEqual(await listAttachments({ host }), { attachments: [], unknown: nothing })
  await world.expectClean()
}

export const listScenarios: readonly Scenario[] = [
  {
    name: 'list',
    about: 'Lists two LUNs with owners and paths, without a process; without multipathd paths are unknown',
    isLong: true,
    run: listing,
  },
]
