import assert from 'node:assert/strict'
import { createXenstore, detachLun, isLunError, listAttachments, resizeLun, waitForBackend } from 'xen-lun'
import { presentLuns, rejection, target, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { installScript } from '../world/install.ts'
import { waitForReadyPaths } from '../world/paths.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { assertHandedOver, backendOf, disk } from './disk.ts'

const MIB = 1 << 20

async function lifecycle(world: World): Promise<void> {
  const { guest } = world
  await installScript()
  const luns = await presentLuns(world, 0, 1)
  const wwid = luns.get(0)?.wwid ?? ''
  await phase(world, 'create', async () => await guest.create({ name: 'g1', disks: [disk(world, 'xvda', 0)] }))
  await phase(world, 'boot', async () => await guest.waitForBeat('v0'))
  await phase(world, 'hand-over', async () => await assertHandedOver(world, wwid))
  await phase(world, 'list', async () => await listed(world))
  await phase(world, 'refuse to detach', async () => await assertNotDetachable(world))
  await phase(world, 'cut and restore a path', async () => await cutPath(world))
  await phase(world, 'grow', async () => await grow(world))
  await phase(world, 'second disk', async () => await secondDisk(world))
  await phase(world, 'disk that is not there', async () => await missingDisk(world, wwid))
  await phase(world, 'destroy', async () => await guest.destroy('g1'))
  await world.expectClean()
  const { beats } = await guest.verifyLog('v0')
  await guest.verifyLog('v1')
  console.log(`     ${beats} blocks written through a cut and a growth, all of them there`)
}

/** For the console log: where the time of this long scenario goes. */
async function phase(world: World, name: string, work: () => Promise<unknown>): Promise<void> {
  const { tookMs } = await timed(world, work)
  console.error(`LAB: guest: ${name}: ${(tookMs / 1000).toFixed(1)} s`)
}

/** xl's own notes lead to the backend, and the listing says whose disk the LUN is. */
async function listed(world: World): Promise<void> {
  const { host, guest } = world
  const domid = await guest.domid('g1')
  const { backendPath } = await waitForBackend({ domid, vdev: 'xvda', backendDomid: 0 }, { host })
  assert.equal(backendPath, await backendOf(world))
  const { result, executed } = await world.traceProcesses(async () => await listAttachments({ host }))
  assert.deepEqual(executed, [])
  assert.deepEqual(result.unknown, { xenstore: undefined, multipathd: undefined, journal: undefined })
  const [lun] = result.attachments
  assert.deepEqual(lun?.pathCount, { up: 2, down: 0, unknown: 0 })
  const [found] = lun.guests
  assert.ok(typeof found?.domain === 'object' && typeof found.status === 'object', JSON.stringify(found))
  assert.deepEqual([found.vdev, found.isOwner, found.domain.name], ['xvda', true, 'g1'])
  assert.match(found.domain.uuid ?? '', /^[0-9a-f-]{36}$/)
  assert.deepEqual(found.status, { state: 'Connected', hotplugStatus: 'connected', hotplugError: undefined })
}

/** The guest's disk is not ours to detach, and the error says whose it is. */
async function assertNotDetachable(world: World): Promise<void> {
  const owner = await backendOf(world)
  const refused = await rejection(
    async () => await detachLun({ target, lun: 0 }, { host: world.host, owner, busyMs: 300 })
  )
  assert.ok(isLunError(refused, 'LUN_IN_USE'), refused.stack)
  assert.deepEqual(
    refused.details.users.map(({ kind, domain }) => [kind, domain]),
    [['xen-backend', 'g1']]
  )
}

/** The guest writes on while one path is gone. */
async function cutPath(world: World): Promise<void> {
  const { guest, san } = world
  const [cut] = san.portals
  const before = await guest.beat('v0')
  await san.cutPortal(cut)
  await guest.waitForBeat('v0', { after: before + 5 })
  await waitForReadyPaths(1)
  const refused = await rejection(async () => await resizeLun({ target }, world))
  assert.ok(isLunError(refused, 'NO_PATHS'), refused.stack)
  await guest.waitForBeat('v0', { after: (await guest.beat('v0')) + 5 })
  await san.restorePortal(cut)
  await waitForReadyPaths(2)
}

/** The LUN grows under the guest, which sees it. */
async function grow(world: World): Promise<void> {
  const { guest, san } = world
  assert.equal((await resizeLun({ target }, world)).outcome, 'unchanged')
  await san.resizeVolume('v0', 96)
  const grown = { outcome: 'resized', sizeBytes: 96 * MIB, previousBytes: 64 * MIB }
  assert.deepEqual(await resizeLun({ target }, world), grown)
  const state = await world.snapshot()
  assert.deepEqual(
    [...state.maps, ...state.disks].map(({ sizeBytes }) => sizeBytes),
    Array(3).fill(96 * MIB)
  )
  const xenstore = createXenstore(world.host)
  const key = `${await backendOf(world)}/sectors`
  await until('the guest to see the new size', async () => (await xenstore.read(key)) === String((96 * MIB) / 512))
  await guest.waitForBeat('v0', { after: (await guest.beat('v0')) + 5 })
}

/** A second disk comes and goes. */
async function secondDisk(world: World): Promise<void> {
  const { guest } = world
  await guest.blockAttach('g1', disk(world, 'xvdb', 1))
  await guest.waitForBeat('v1')
  assert.equal((await world.snapshot()).sessions.length, 2)
  await guest.blockDetach('g1', 'xvdb')
}

/** A disk whose LUN does not exist fails with the reason, leaves nothing, and the guest works on. */
async function missingDisk(world: World, firstWwid: string): Promise<void> {
  const { guest } = world
  const error = await rejection(async () => await guest.blockAttach('g1', disk(world, 'xvdc', 5)))
  assert.match(error.message, /has no LUN 5/)
  await guest.blockDetach('g1', 'xvdc')
  const { maps, sessions, disks } = await world.snapshot()
  assert.deepEqual(
    maps.map(({ uuid }) => uuid),
    [`mpath-${firstWwid}`]
  )
  assert.deepEqual([sessions.length, disks.length], [2, 2])
  await guest.waitForBeat('v0', { after: await guest.beat('v0') })
}

export const guestScenarios: readonly Scenario<World>[] = [
  {
    name: 'guest',
    about:
      'A PV guest on the block script: path cut, growth, block-attach and -detach, a disk of two, destroy; no byte lost',
    onlyOnDom0: 'it takes a guest, and xl to run it',
    timeoutMs: 480_000,
    run: lifecycle,
  },
]
