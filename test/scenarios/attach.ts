import assert from 'node:assert/strict'
import {
  type Attachment,
  createIscsiadm,
  createMultipath,
  createNodeDb,
  createScsi,
  detachLun,
  iqn,
  isLunError,
  type LunEvent,
  portal,
} from 'xen-lun'
import { assertAttached, assertSameData, attach, noteHealthy, presentLuns, rejection, target, timed } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

async function discovery(world: World): Promise<void> {
  await presentLuns(world, 0)
  const iscsiadm = createIscsiadm(world.host)
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
}

async function twoPaths(world: World): Promise<void> {
  const [volume] = [...(await presentLuns(world, 0)).values()]
  const events: LunEvent[] = []
  const attached = await world.traceProcesses(
    async () =>
      await attach(world, { expected: { wwid: volume?.wwid ?? '' } }, { onEvent: event => events.push(event) })
  )
  const lun = attached.result
  // The limit is 4 processes to attach, 3 to detach.
  assert.deepEqual(attached.executed, ['flock', 'iscsiadm', 'iscsiadm', 'iscsiadm'])
  assert.equal(lun.outcome, 'attached')
  assert.equal(lun.isDegraded, false)
  assert.equal(lun.wwid, volume?.wwid)
  assert.equal(lun.sizeBytes, 64 << 20)
  assert.deepEqual(
    lun.paths.map(path => `${path.portal} ${path.state}`),
    ['10.0.1.1:3260 up', '10.0.2.1:3260 up']
  )
  const steps = events.flatMap(event => (event.type === 'end' ? [event.step] : []))
  assert.deepEqual(steps, ['portals', 'records', 'login', 'paths', 'device', 'in-use', 'identity'])
  await assertAttached(world, lun, 2)
  assert.equal((await world.snapshot()).records.length, 2)
  await assertModulesAgree(world, lun)
  await assertSameData(world, lun, 'v0')
  const detached = await world.traceProcesses(async () => await lun.detach())
  assert.equal(detached.result.outcome, 'detached')
  assert.deepEqual(detached.executed, ['multipath', 'flock', 'iscsiadm'])
  await world.expectClean()
}

async function twice(world: World): Promise<void> {
  await presentLuns(world, 0)
  const { result: first, tookMs } = await timed(world, async () => await attach(world))
  noteHealthy(world, tookMs)
  const before = await world.snapshot()
  const second = await world.traceProcesses(async () => await attach(world))
  assert.equal(second.result.outcome, 'already-attached')
  assert.equal(second.result.device, first.device)
  assert.deepEqual(await world.snapshot(), before)
  assert.deepEqual(second.executed, [])
  // Letting go of a LUN that was there before leaves it there.
  await second.result[Symbol.asyncDispose]()
  await assertAttached(world, first, 2)
  const holder = await world.holdDevice(first.device)
  const error = await rejection(async () => await first.detach({ busyMs: 300 }))
  assert.ok(isLunError(error, 'LUN_IN_USE'), error.stack)
  assert.ok(
    error.details.users.some(user => user.name.startsWith(`${holder.pid} `)),
    error.message
  )
  await assertAttached(world, first, 2)
  await holder.release()
  assert.equal((await first.detach()).outcome, 'detached')
  await world.expectClean()
  assert.equal((await detachLun({ target }, world)).outcome, 'already-detached')
  await world.expectClean()
}

async function threeLuns(world: World): Promise<void> {
  await presentLuns(world, 0, 1, 10)
  const attached = new Map(await Promise.all([10, 0, 1].map(async lun => [lun, await attach(world, { lun })] as const)))
  assert.equal((await world.snapshot()).sessions.length, 2)
  for (const lun of attached.values()) await assertAttached(world, lun, 2)
  for (const leaving of [1, 10, 0]) {
    assert.equal((await detachLun({ target, lun: leaving }, world)).outcome, 'detached')
    attached.delete(leaving)
    for (const staying of attached.values()) await assertAttached(world, staying, 2)
  }
  await world.expectClean()
}

async function iqnPrefix(world: World): Promise<void> {
  const { san, host } = world
  const longer = `${target}2`
  await presentLuns(world, 0)
  await san.addVolume({ name: 'w0', sizeMiB: 64 })
  await san.addTarget({ iqn: longer, luns: { 0: 'w0' } })
  const second = await attach(world, { target: longer })
  const first = await attach(world)
  assert.deepEqual([first.outcome, second.outcome], ['attached', 'attached'])
  assert.equal((await world.snapshot()).sessions.length, 4)
  await assertAttached(world, first, 2)
  await assertAttached(world, second, 2)
  await assertSameData(world, first, 'v0')
  await assertSameData(world, second, 'w0')
  assert.equal((await detachLun({ target }, { host })).outcome, 'detached')
  await assertAttached(world, second, 2)
  assert.deepEqual(
    (await world.snapshot()).sessions.map(({ iqn: name }) => name),
    [longer, longer]
  )
  assert.equal((await detachLun({ target: longer }, { host })).outcome, 'detached')
  await world.expectClean()
}

async function lun300(world: World): Promise<void> {
  await presentLuns(world, 0, 300)
  // The SAN is asked for its portals.
  const lun = await attach(world, { lun: 300, portals: undefined, discovery: world.san.portals[0] })
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

async function assertModulesAgree({ host }: World, { map, wwid }: Attachment): Promise<void> {
  const sessions = await createIscsiadm(host).sessions({ target: iqn(target) })
  assert.deepEqual(
    sessions.map(session => session.state),
    ['logged-in', 'logged-in']
  )
  const { records, broken } = await createNodeDb(host).recordsOf(iqn(target))
  assert.deepEqual([records.map(record => record.startup), broken], [['manual', 'manual'], []])
  const watched = await createMultipath(host).map(map?.name ?? '')
  assert.deepEqual(
    watched?.paths.map(path => `${path.dmState} ${path.checkerState}`),
    ['active ready', 'active ready']
  )
  const [session] = sessions
  assert.ok(session !== undefined)
  const scsi = createScsi(host)
  const [hctl] = await scsi.devices(session)
  assert.ok(hctl !== undefined)
  assert.equal((await scsi.identity(hctl, { live: true })).wwid, wwid)
}

export const attachScenarios: readonly Scenario[] = [
  { name: 'discovery', about: 'SendTargets finds both portals and leaves no record', run: discovery },
  {
    name: 'attach-two-paths',
    about: 'Attach over two portals with 4 processes, write, read back, detach with 3, without a trace',
    run: twoPaths,
  },
  {
    name: 'attach-twice',
    about: 'A second attach or detach changes nothing and says so; a LUN somebody holds open is not detached',
    run: twice,
  },
  {
    name: 'attach-three-luns',
    about: 'Three LUNs on one target come and go without touching each other',
    run: threeLuns,
  },
  {
    name: 'iqn-prefix',
    about: "Two targets, one's name the beginning of the other's: each its own volume, and detached alone",
    isLong: true,
    run: iqnPrefix,
  },
  { name: 'attach-lun-300', about: 'LUN 300 by a discovery portal; no other LUN becomes visible', run: lun300 },
]
