import { expect, test } from 'vitest'
import {
  type Attachment,
  attachLun,
  createMultipath,
  detachLun,
  type Executor,
  type LunEvent,
  reconcile,
} from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { iqn } from '../../../src/core/iqn.ts'
import { createJournal } from '../../../src/lun/journal/journal.ts'
import { address, attach, createDom0, cutAll, disk, guest, mapOf, rejection, target } from '../helpers.ts'

const data = new TextEncoder().encode('hello')
const PID = 4711

interface Stuck {
  readonly dom0: SimulatedDom0
  readonly lun: Attachment
  /** Another LUN of the target, in the same trouble. */
  readonly other: Attachment
}

/** Two LUNs whose maps queue, and no path of them works. */
async function createStuck(): Promise<Stuck> {
  const dom0 = createDom0({ multipath: { noPathRetry: 'queue' } })
  const [lun, other] = [await attach(dom0, 0), await attach(dom0, 1)]
  await cutAll(dom0)
  return { dom0, lun, other }
}

/** A process that waits for its write; its outcome is undefined as long as it does. */
function startWriter(dom0: SimulatedDom0, device: string, pid = PID): { outcome: string | undefined } {
  const open = dom0.openDevice(device, pid, 'dd')
  const write: { outcome: string | undefined } = { outcome: undefined }
  const end = (outcome: string): void => {
    write.outcome = outcome
    open.close()
  }
  dom0.writeDevice(device, 0, data).then(
    () => end('written'),
    (error: unknown) => end(String(error))
  )
  return write
}

const isQueueing = async (dom0: SimulatedDom0, { map }: Attachment): Promise<boolean | undefined> =>
  (await mapOf(dom0, map?.name ?? ''))?.queuesIfNoPath

test('a plain detach leaves a writer that waits, and names it', async () => {
  const { dom0, lun } = await createStuck()
  const write = startWriter(dom0, lun.device)
  const before = dom0.state()
  expect(await rejection(detachLun(address, dom0))).toMatchObject({
    code: 'LUN_IN_USE',
    message: expect.stringContaining('unless the detach is told to force'),
    details: { users: [{ kind: 'process', name: `${PID} dd`, device: 'dm-0' }] },
  })
  expect(dom0.state()).toEqual(before)
  expect([write.outcome, await isQueueing(dom0, lun)]).toEqual([undefined, true])
})

test('force fails the write, says that it is lost, and detaches; the other LUN goes on waiting', async () => {
  const { dom0, lun, other } = await createStuck()
  const write = startWriter(dom0, lun.device)
  const otherWrite = startWriter(dom0, other.device, 4712)
  const events: LunEvent[] = []
  const { host, started } = dom0
  const detachment = await detachLun(address, { host, force: true, onEvent: event => events.push(event) })
  expect(detachment).toMatchObject({ outcome: 'detached', writes: 'lost', wwid: lun.wwid })
  expect(write.outcome).toContain('EIO')
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'warning', message: expect.stringContaining(`no path to ${lun.map?.name} works`) })
  )
  expect([otherWrite.outcome, await isQueueing(dom0, other)]).toEqual([undefined, true])
  expect(dom0.state().maps.map(({ name }) => name)).toEqual([other.map?.name])
  expect(started.filter(line => /^(?:dmsetup|sg_|multipath -F)/.test(line))).toEqual([])

  expect(await detachLun({ target, lun: 1 }, { host, force: true })).toMatchObject({ writes: 'lost' })
  expect(otherWrite.outcome).toContain('EIO')
  await host.clock.sleep(60_000)
  expect(dom0.leftovers()).toEqual([])
})

test('force without anybody who writes has nothing to lose', async () => {
  const { dom0 } = await createStuck()
  expect(await detachLun(address, { ...dom0, force: true })).toMatchObject({ outcome: 'detached', writes: 'written' })
})

test.each([
  ['a mount', (dom0: SimulatedDom0, device: string) => dom0.mount(device, '/mnt')],
  ['LVM', (dom0: SimulatedDom0, on: string) => dom0.stackDevice({ on, name: 'vg-lv', uuid: 'LVM-abc' })],
  [
    'a guest',
    (dom0: SimulatedDom0, device: string) => {
      dom0.xen.addDomain(guest)
      dom0.xen.addBackend({ ...disk, device }).connect()
    },
  ],
  [
    'a guest that QEMU serves',
    (dom0: SimulatedDom0, device: string) => {
      dom0.xen.addDomain(guest)
      dom0.xen.addBackend({ ...disk, kind: 'qdisk', device }).connect()
    },
  ],
])('force refuses for %s, and the writes go on waiting', async (_, use) => {
  const { dom0, lun } = await createStuck()
  const write = startWriter(dom0, lun.device)
  use(dom0, lun.device)
  const before = dom0.state()
  expect(await rejection(detachLun(address, { ...dom0, force: true }))).toMatchObject({ code: 'LUN_IN_USE' })
  expect(dom0.state()).toEqual(before)
  expect(before.maps[0]?.disks).toHaveLength(2)
  expect([write.outcome, await isQueueing(dom0, lun)]).toEqual([undefined, true])
})

test('force fails nothing while nobody can say whether it is a guest’s QEMU that waits', async () => {
  const { dom0, lun } = await createStuck()
  const write = startWriter(dom0, lun.device)
  const { files } = dom0.host
  const read: typeof files.read = async path => {
    if (path === `/proc/${PID}/cmdline`) throw Object.assign(new Error('too many'), { code: 'EMFILE' })
    return await files.read(path)
  }
  const host = { ...dom0.host, files: { ...files, read } }
  expect(await rejection(detachLun(address, { host, force: true }))).toMatchObject({ code: 'LUN_IN_USE' })
  expect([write.outcome, await isQueueing(dom0, lun)]).toEqual([undefined, true])
})

test('force refuses for a process that has the device open and waits for nothing, and lets I/O wait again', async () => {
  const { dom0, lun } = await createStuck()
  dom0.openDevice(lun.device, PID, 'idle')
  const before = dom0.state()
  expect(await rejection(detachLun(address, { ...dom0, force: true, busyMs: 1000 }))).toMatchObject({
    code: 'LUN_IN_USE',
    details: { users: [{ kind: 'process', name: `${PID} idle` }] },
  })
  expect(dom0.state()).toEqual(before)
  expect(await isQueueing(dom0, lun)).toBe(true)
  const write = startWriter(dom0, lun.device)
  await dom0.host.clock.sleep(60_000)
  expect(write.outcome).toBeUndefined()
})

test('force that is aborted lets I/O wait again', async () => {
  const { dom0, lun } = await createStuck()
  dom0.openDevice(lun.device, PID, 'idle')
  const stop = new AbortController()
  const reason = new Error('enough')
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'warning') stop.abort(reason)
  }
  expect(await rejection(detachLun(address, { ...dom0, force: true, signal: stop.signal, onEvent }))).toBe(reason)
  expect(await isQueueing(dom0, lun)).toBe(true)
})

test.each([
  ['btrfs', { fsType: 'btrfs' }],
  ['a mount in another namespace', { isElsewhere: true }],
] as const)('force refuses for %s, also one that comes while it is at work, and the writes survive', async (_, how) => {
  for (const isLate of [false, true]) {
    const { dom0, lun } = await createStuck()
    const write = startWriter(dom0, lun.device)
    const mount = (): void => void dom0.mount(lun.device, '/srv', how)
    if (!isLate) mount()
    const onEvent = (event: LunEvent): void => {
      if (isLate && event.type === 'start' && event.step === 'flush') mount()
    }
    expect(await rejection(detachLun(address, { ...dom0, force: true, onEvent }))).toMatchObject({
      code: 'LUN_IN_USE',
      message: expect.not.stringContaining('lost'),
    })
    expect([write.outcome, await isQueueing(dom0, lun)]).toEqual([undefined, true])
    for (const portal of dom0.san.portals) await dom0.san.restorePortal(portal)
    await dom0.host.clock.sleep(60_000)
    expect(write.outcome).toBe('written')
  }
})

test('where force did not help, the refusal says what it cost', async () => {
  const { dom0, lun } = await createStuck()
  const write = startWriter(dom0, lun.device)
  dom0.openDevice(lun.device, 4712, 'idle')
  expect(await rejection(detachLun(address, { ...dom0, force: true, busyMs: 1000 }))).toMatchObject({
    code: 'LUN_IN_USE',
    message: expect.stringContaining('what waited to be written to it is lost'),
  })
  expect(write.outcome).toContain('EIO')
  expect(await isQueueing(dom0, lun)).toBe(true)
})

/** A forced detach that is killed as soon as it has let go of what was written. */
async function killForced(dom0: SimulatedDom0): Promise<void> {
  const user = dom0.startUser()
  await new Promise<void>(resolve => {
    const exec: Executor['exec'] = async (command, options) => {
      const result = await user.host.executor.exec(command, options)
      if (command.args[0] !== 'disablequeueing') return result
      user.kill()
      resolve()
      return await new Promise(() => {})
    }
    detachLun(address, { host: { ...user.host, executor: { exec } }, force: true }).catch(() => {})
  })
}

test.each([
  ['a detach that is refused', async (dom0: SimulatedDom0) => await rejection(detachLun(address, dom0))],
  ['an attach', async (dom0: SimulatedDom0) => await attach(dom0)],
  ['reconcile', async (dom0: SimulatedDom0) => await reconcile({ ...dom0, apply: true })],
])('after a forced detach that was killed, %s lets I/O wait again', async (name, next) => {
  const { dom0, lun } = await createStuck()
  dom0.openDevice(lun.device, PID, 'idle')
  await killForced(dom0)
  expect(await isQueueing(dom0, lun)).toBe(false)
  if (name === 'an attach') {
    for (const portal of dom0.san.portals) await dom0.san.restorePortal(portal)
    await dom0.host.clock.sleep(60_000)
  }
  await next(dom0)
  expect(await isQueueing(dom0, lun)).toBe(true)
  expect((await createJournal(dom0.host.files).lun({ target: iqn(target), lun: 0 }))?.unqueued).toBeUndefined()
})

test('where multipathd does not answer, that I/O is to wait again stays noted', async () => {
  const { dom0, lun } = await createStuck()
  dom0.openDevice(lun.device, PID, 'idle')
  await killForced(dom0)
  await dom0.daemons.multipathd.stop()
  const { actions, failed } = await reconcile({ ...dom0, apply: true })
  expect(actions).toContainEqual(expect.objectContaining({ kind: 'requeue', target, lun: 0 }))
  expect(failed.map(({ step }) => step)).toContain(`have the map of LUN 0 of ${target} queue again`)
  await dom0.daemons.multipathd.start()
  await dom0.host.clock.sleep(10_000)
  expect((await reconcile(dom0)).actions).toContainEqual(expect.objectContaining({ kind: 'requeue' }))
  await reconcile({ ...dom0, apply: true })
  expect(await isQueueing(dom0, lun)).toBe(true)
  expect((await reconcile(dom0)).actions.filter(({ kind }) => kind === 'requeue')).toEqual([])
})

test('while a path works force is like none: a writer stays', async () => {
  const dom0 = createDom0({ multipath: { noPathRetry: 'queue' } })
  const lun = await attach(dom0)
  await dom0.san.cutPortal(dom0.san.portals[0])
  await dom0.host.clock.sleep(60_000)
  const writer = dom0.openDevice(lun.device, PID, 'dd')
  expect(await rejection(detachLun(address, { ...dom0, force: true }))).toMatchObject({
    code: 'LUN_IN_USE',
    message: expect.not.stringContaining('force'),
    details: { users: [{ kind: 'process', name: `${PID} dd` }] },
  })
  expect(await isQueueing(dom0, lun)).toBe(true)
  writer.close()
  const udev = dom0.openDevice(lun.device, 300, '(udev-worker)')
  const closed = dom0.host.clock.sleep(1000).then(() => udev.close())
  expect(await detachLun(address, { ...dom0, force: true })).toMatchObject({ outcome: 'detached', writes: 'written' })
  await closed
})

test('a map that does not queue needs no force', async () => {
  const dom0 = createDom0({ multipath: { noPathRetry: 'fail' } })
  const lun = await attach(dom0)
  await cutAll(dom0)
  const write = startWriter(dom0, lun.device)
  await dom0.host.clock.sleep(100)
  expect(write.outcome).toContain('EIO')
  expect((await createMultipath(dom0.host).maps()).length).toBe(1)
  expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
})

test('force without a map has nothing to fail', async () => {
  const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
  const lun = await attachLun({ target, portals: [dom0.san.portals[0]], multipath: 'never' }, dom0)
  expect(await detachLun({ target: lun.target }, { ...dom0, force: true })).toMatchObject({ writes: 'written' })
  expect(dom0.leftovers()).toEqual([])
})

test('an attach fails the read of its own that hangs, and keeps the map from nobody', async () => {
  const dom0 = createDom0({ multipath: { noPathRetry: 'queue' } })
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'start' && event.step === 'device') void dom0.san.killTarget(target)
  }
  const attaching = attachLun({ target, portals: dom0.san.portals }, { ...dom0, onEvent })
  expect(await rejection(attaching)).toMatchObject({ code: 'DEVICE_UNREADABLE' })
  await dom0.host.clock.sleep(60_000)
  expect(dom0.leftovers()).toEqual([])
})
