import assert from 'node:assert/strict'
import {
  createIscsiadm,
  createLocalHost,
  createMultipath,
  createNodeDb,
  createScsi,
  detachLun,
  iqn,
  type LunEvent,
  portal,
} from 'xen-lun'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world/world.ts'
import { assertAttached, assertSameData, attach, presentLuns, target } from './lun.ts'

async function discovery(world: World): Promise<void> {
  await presentLuns(world, 0)
  const iscsiadm = createIscsiadm(createLocalHost())
  const offers = await iscsiadm.discover({ portal: portal(world.san.portals[0]) })
  const portals = offers.filter(offer => offer.target === target).map(offer => offer.portal)
  assert.deepEqual(
    portals.toSorted((a, b) => (a.host < b.host ? -1 : 1)),
    [
      { host: '10.0.1.1', port: 3260 },
      { host: '10.0.2.1', port: 3260 },
    ]
  )
  await world.expectClean()
  // The same answer serves an attach that knows one portal only.
  const lun = await attach(world, { portals: undefined, discovery: world.san.portals[0] })
  await assertAttached(world, lun, 2)
  await lun.detach()
}

async function twoPaths(world: World): Promise<void> {
  const [volume] = [...(await presentLuns(world, 0)).values()]
  const events: LunEvent[] = []
  const lun = await attach(world, { expected: { wwid: volume?.wwid ?? '' } }, { onEvent: event => events.push(event) })
  assert.equal(lun.outcome, 'attached')
  assert.equal(lun.isDegraded, false)
  assert.equal(lun.wwid, volume?.wwid)
  assert.equal(lun.sizeBytes, 64 << 20)
  assert.deepEqual(
    lun.paths.map(path => `${path.portal} ${path.state}`),
    ['10.0.1.1:3260 up', '10.0.2.1:3260 up']
  )
  await assertAttached(world, lun, 2)
  assert.equal((await world.snapshot()).records.length, 2)
  await assertSameData(world, lun, 'v0')
  const steps = events.flatMap(event => (event.type === 'end' ? [event.step] : []))
  assert.deepEqual(steps, ['portals', 'records', 'login', 'paths', 'device'])
  const { outcome } = await lun.detach()
  assert.equal(outcome, 'detached')
  await world.expectClean()
}

async function twice(world: World): Promise<void> {
  await presentLuns(world, 0)
  const first = await attach(world)
  const before = await world.snapshot()
  const second = await world.traceProcesses(async () => await attach(world))
  assert.equal(second.result.outcome, 'already-attached')
  assert.equal(second.result.device, first.device)
  assert.deepEqual(await world.snapshot(), before)
  assert.deepEqual(second.executed.map(name), ['flock'])
  // Letting go of a LUN that was there before leaves it there.
  await second.result[Symbol.asyncDispose]()
  await assertAttached(world, first, 2)
  assert.equal((await first.detach()).outcome, 'detached')
  await world.expectClean()
  assert.equal((await detachLun({ target })).outcome, 'already-detached')
  await world.expectClean()
}

async function threeLuns(world: World): Promise<void> {
  await presentLuns(world, 0, 1, 10)
  const attached = new Map(await Promise.all([10, 0, 1].map(async lun => [lun, await attach(world, { lun })] as const)))
  assert.equal((await world.snapshot()).sessions.length, 2)
  for (const lun of attached.values()) await assertAttached(world, lun, 2)
  for (const leaving of [1, 10, 0]) {
    assert.equal((await detachLun({ target, lun: leaving })).outcome, 'detached')
    attached.delete(leaving)
    for (const staying of attached.values()) await assertAttached(world, staying, 2)
  }
  await world.expectClean()
}

async function lun300(world: World): Promise<void> {
  await presentLuns(world, 0, 300)
  const lun = await attach(world, { lun: 300 })
  await assertAttached(world, lun, 2)
  // Manual scan: LUN 0 of the same target stays unseen.
  assert.deepEqual(
    (await world.snapshot()).disks.map(disk => disk.lun),
    [300, 300]
  )
  await assertSameData(world, lun, 'v300')
  await lun.detach()
  await world.expectClean()
}

async function processes(world: World): Promise<void> {
  await presentLuns(world, 0)
  const attached = await world.traceProcesses(async () => await attach(world))
  assert.deepEqual(attached.executed.map(name), ['flock', 'iscsiadm', 'iscsiadm', 'iscsiadm'])
  const detached = await world.traceProcesses(async () => await attached.result.detach())
  assert.deepEqual(detached.executed.map(name), ['flock', 'iscsiadm', 'multipath'])
  await world.expectClean()
}

async function modules(world: World): Promise<void> {
  await presentLuns(world, 0)
  const lun = await attach(world)
  const host = createLocalHost()
  const sessions = await createIscsiadm(host).sessions({ target: iqn(target) })
  assert.deepEqual(
    sessions.map(session => session.state),
    ['logged-in', 'logged-in']
  )
  const { records, broken } = await createNodeDb(host).recordsOf(iqn(target))
  assert.deepEqual([records.map(record => record.startup), broken], [['manual', 'manual'], []])
  const map = await createMultipath(host).map(lun.map?.name ?? '')
  assert.deepEqual(
    map?.paths.map(path => [path.dmState, path.checkerState]),
    [
      ['active', 'ready'],
      ['active', 'ready'],
    ]
  )
  const [session] = sessions
  assert.ok(session !== undefined)
  const scsi = createScsi(host)
  const [hctl] = await scsi.devices(session)
  assert.ok(hctl !== undefined)
  assert.equal((await scsi.identity(hctl, { live: true })).wwid, lun.wwid)
  await lun.detach()
  await world.expectClean()
}

function name(file: string): string {
  return file.replace(/^.*\//, '')
}

export const attachScenarios: readonly Scenario[] = [
  { name: 'discovery', about: 'SendTargets finds both portals and leaves no record', run: discovery },
  {
    name: 'attach-two-paths',
    about: 'Attach over two portals, write, read back, detach without a trace',
    run: twoPaths,
  },
  { name: 'attach-twice', about: 'A second attach changes nothing and says so; so does a second detach', run: twice },
  {
    name: 'attach-three-luns',
    about: 'Three LUNs on one target come and go without touching each other',
    run: threeLuns,
  },
  { name: 'attach-lun-300', about: 'LUN 300, and no other LUN of the target becomes visible', run: lun300 },
  { name: 'attach-processes', about: 'At most 4 processes to attach over two portals, 3 to detach', run: processes },
  { name: 'modules', about: 'Iscsiadm, NodeDb, Multipath and Scsi agree on an attached LUN', run: modules },
]
