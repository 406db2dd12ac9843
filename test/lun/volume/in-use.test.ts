import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, type DeviceUser, detachLun, isLunError } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, disk, guest, rejection, virtualMs } from '../helpers.ts'

/** One who uses the LUN, and how an error names him. */
interface Case {
  readonly about: string
  readonly begin: (dom0: SimulatedDom0, lun: Attachment) => void
  readonly user: Pick<DeviceUser, 'kind' | 'name' | 'device'> & Partial<DeviceUser>
}

function connectGuest(dom0: SimulatedDom0, device: string, kind: 'vbd' | 'qdisk') {
  dom0.xen.addDomain(guest)
  const backend = dom0.xen.addBackend({ ...disk, kind, device })
  backend.connect()
  return backend
}

const stack = (dom0: SimulatedDom0, on: string, name: string, uuid: string) => dom0.stackDevice({ on, name, uuid })

const cases: readonly Case[] = [
  {
    about: 'a mount',
    begin: (dom0, { device }) => dom0.mount(device, '/mnt'),
    user: { kind: 'mount', name: '/mnt', device: 'dm-0' },
  },
  {
    about: 'swap',
    begin: (dom0, { device }) => dom0.swapOn(device),
    user: { kind: 'swap', name: '/dev/dm-0', device: 'dm-0' },
  },
  {
    about: 'LVM',
    begin: (dom0, { device }) => stack(dom0, device, 'vg-lv', 'LVM-abc'),
    user: { kind: 'holder', name: 'vg-lv (LVM)', device: 'dm-0' },
  },
  {
    about: 'dm-crypt',
    begin: (dom0, { device }) => stack(dom0, device, 'secret', 'CRYPT-LUKS2-abc-secret'),
    user: { kind: 'holder', name: 'secret (crypt)', device: 'dm-0' },
  },
  {
    about: 'a mounted partition',
    begin: (dom0, { device, wwid }) => {
      dom0.mount(stack(dom0, device, `${wwid}-part1`, `part1-mpath-${wwid}`).path, '/mnt')
    },
    user: { kind: 'mount', name: '/mnt', device: 'dm-1' },
  },
  {
    about: 'a guest',
    begin: (dom0, { device }) => connectGuest(dom0, device, 'vbd'),
    user: { kind: 'xen-backend', name: 'vbd-1-51712', state: 'Connected', domain: 'guest', device: 'dm-0' },
  },
  {
    about: 'QEMU',
    begin: (dom0, { device }) => connectGuest(dom0, device, 'qdisk'),
    user: { kind: 'process', name: '2001 qemu-system-i38', device: 'dm-0' },
  },
  {
    about: 'another process',
    begin: (dom0, { device }) => dom0.openDevice(device, 4711, 'dd'),
    user: { kind: 'process', name: '4711 dd', device: 'dm-0' },
  },
]

describe('a LUN in use stays, and the error names', () => {
  test.each(cases)('$about', async ({ begin, user }) => {
    const dom0 = createDom0()
    begin(dom0, await attach(dom0))
    const before = dom0.state()
    const error = await rejection(detachLun(address, { host: dom0.host, busyMs: 60_000 }))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { ...address, users: [user] } })
    expect(String(error)).toContain(user.name)
    expect(dom0.state()).toEqual(before)
  })

  test('a loop device', async () => {
    const dom0 = createDom0()
    const lun = await attach(dom0)
    const { files } = dom0.host
    await files.makeDirectory('/sys/block/loop0/loop', 0o755)
    await files.replace('/sys/block/loop0/loop/backing_file', `${lun.device}\n`, 0o444)
    dom0.openDevice(lun.device, 2) // the kernel's own open has no descriptor; this process is kthreadd
    await files.remove('/proc/2/fd/3')
    expect(await rejection(detachLun(address, { host: dom0.host }))).toMatchObject({
      code: 'LUN_IN_USE',
      details: { users: [{ kind: 'holder', name: 'loop0', device: 'dm-0' }] },
    })
  })

  test('every user at once', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    dom0.mount(device, '/mnt')
    connectGuest(dom0, device, 'vbd')
    expect(await rejection(detachLun(address, { host: dom0.host }))).toMatchObject({
      message: expect.stringMatching(/mount \/mnt on dm-0, xen-backend vbd-1-51712 of domain guest on dm-0/),
    })
  })
})

test.each(cases)('$about is refused sooner than a detach takes, however much time there is', async ({ begin }) => {
  const dom0 = createDom0()
  const lun = await attach(dom0)
  const free = await virtualMs(dom0, detachLun(address, dom0))
  await attach(dom0)
  begin(dom0, lun)
  const refused = await virtualMs(dom0, rejection(detachLun(address, { host: dom0.host, busyMs: 60_000 })))
  expect(refused).toBeLessThan(free)
})

test('a LUN that turned out to be busy at its flush is held as before', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0)
  dom0.openDevice(device, 4711, 'dd')
  await rejection(detachLun(address, dom0))
  const [path = ''] = dom0.state().journal.filter(name => name.includes('/luns/'))
  expect(JSON.parse((await dom0.host.files.read(path)) ?? '')).toMatchObject({
    owners: { default: { state: 'attached' } },
  })
})

test('who could not let go holds the LUN as before', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0)
  const mounted = dom0.mount(device, '/mnt')
  const journal = async (): Promise<unknown> =>
    await Promise.all(dom0.state().journal.map(async path => await dom0.host.files.read(path)))
  const before = await journal()
  await rejection(detachLun(address, { host: dom0.startUser().host }))
  expect(await journal()).toEqual(before)
  mounted.unmount()
  expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

test('an unused partition is no hindrance', async () => {
  const dom0 = createDom0()
  const { device, wwid } = await attach(dom0)
  stack(dom0, device, `${wwid}-part1`, `part1-mpath-${wwid}`)
  expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

describe('what is closing by itself is waited for:', () => {
  test('a guest that lets go after 3 s, and not much longer', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    const backend = connectGuest(dom0, device, 'vbd')
    backend.setState('Closing')
    const gone = dom0.host.clock.sleep(3000).then(() => backend.remove())
    const detached = detachLun(address, dom0)
    expect(await virtualMs(dom0, detached)).toBeLessThan(4000)
    expect(await detached).toMatchObject({ outcome: 'detached', writes: 'written' })
    await gone
    expect(dom0.leftovers()).toEqual([])
  })

  test('until busyMs is over, and then it is named', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    connectGuest(dom0, device, 'vbd').setState('Closing')
    const before = dom0.state()
    const tried = detachLun(address, { host: dom0.host, busyMs: 3000 })
    const tookMs = await virtualMs(dom0, tried)
    expect(tookMs).toBeGreaterThanOrEqual(3000)
    expect(tookMs).toBeLessThan(3500)
    expect(await rejection(tried)).toMatchObject({
      code: 'LUN_IN_USE',
      details: { users: [{ kind: 'xen-backend', state: 'Closing', domain: 'guest' }] },
    })
    expect(dom0.state()).toEqual(before)
  })

  test('udev, which reads a device after each writer', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    const worker = dom0.openDevice(device, 300, '(udev-worker)')
    const gone = dom0.host.clock.sleep(1000).then(() => worker.close())
    expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
    await gone
  })
})

test('somebody who cannot be found is still not overrun', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0)
  dom0.openDevice(device, 300)
  await dom0.host.files.remove('/proc/300/fd/3')
  const error = await rejection(detachLun(address, { host: dom0.host, busyMs: 500 }))
  expect(isLunError(error, 'LUN_IN_USE') && error.details.users).toMatchObject([{ kind: 'open', device: 'dm-0' }])
})

test('a LUN without a map is looked at just as well', async () => {
  const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
  const lun = await attachLun({ ...address, portals: [dom0.san.portals[0]], multipath: 'never' }, dom0)
  expect(lun.map).toBeUndefined()
  dom0.openDevice(lun.device, 4711, 'dd')
  expect(await rejection(detachLun(address, dom0))).toMatchObject({
    details: { users: [{ kind: 'process', name: '4711 dd' }] },
  })
})

describe('a program that a rule of udev runs', () => {
  const parent = { pid: 300, command: '(udev-worker)' }

  test('is waited for by a detach', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const open = dom0.openDevice('/dev/sda', 301, 'multipath', { parent })
    const done = dom0.host.clock.sleep(500).then(() => open.close())
    const [{ outcome }] = await Promise.all([detachLun(address, dom0), done])
    expect(outcome).toBe('detached')
    expect(dom0.leftovers()).toEqual([])
  })

  test('is named if it does not end', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    dom0.openDevice('/dev/sda', 301, 'multipath', { parent })
    expect(await rejection(detachLun(address, dom0))).toMatchObject({
      code: 'LUN_IN_USE',
      details: { users: [{ kind: 'process', name: '301 multipath', device: 'sda' }] },
    })
  })

  test('is none by its name: what somebody else started is final at once', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    dom0.openDevice('/dev/sda', 301, 'multipath', { parent: { pid: 299, command: 'bash' } })
    const tookMs = await virtualMs(dom0, detachLun(address, dom0))
    expect(tookMs).toBeLessThan(1000)
  })
})
