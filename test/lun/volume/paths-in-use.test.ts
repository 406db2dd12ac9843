import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, detachLun } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, createDom0, disk, guest, rejection, virtualMs } from '../helpers.ts'

const lvm = { name: 'vg-lv', uuid: 'LVM-abc' }

interface Attached {
  readonly dom0: SimulatedDom0
  readonly lun: Attachment
}

/** A map on sda and sdb. */
async function attachMap(): Promise<Attached> {
  const dom0 = createDom0()
  return { dom0, lun: await attachLun({ ...address, portals: dom0.san.portals }, dom0) }
}

/** A plain disk, sda, that multipathd leaves alone as long as nobody else tells it to. */
async function attachDisk(): Promise<Attached> {
  const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
  const portals = dom0.san.portals.slice(0, 1)
  return { dom0, lun: await attachLun({ ...address, portals, multipath: 'never' }, dom0) }
}

const kinds = { map: attachMap, disk: attachDisk }
const tell = async ({ host }: SimulatedDom0, ...args: readonly string[]): Promise<unknown> =>
  await host.executor.exec({ file: 'multipathd', args, decode: () => '' })

function connect({ xen }: SimulatedDom0, device: string): ReturnType<SimulatedDom0['xen']['addBackend']> {
  xen.addDomain(guest)
  const backend = xen.addBackend({ ...disk, device })
  backend.connect()
  return backend
}

/** Neither a detach nor one that lets it linger changes anything, and both name the user. */
async function expectRefused({ dom0 }: Attached, user: Record<string, unknown>): Promise<void> {
  const before = dom0.state()
  for (const lingerMs of [0, 30_000]) {
    const error = await rejection(detachLun(address, { host: dom0.host, lingerMs, busyMs: 1000 }))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [user] } })
    expect(dom0.state()).toEqual(before)
  }
}

async function expectDetached({ dom0 }: Attached): Promise<void> {
  expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached', writes: 'written' })
  expect(dom0.leftovers()).toEqual([])
}

describe('a path of a map that is used by itself keeps the LUN:', () => {
  test('LVM, or dm-crypt, which the kernel lets lie beside the map', async () => {
    const attached = await attachMap()
    const { dom0 } = attached
    const stacked = dom0.stackDevice({ on: '/dev/sdb', ...lvm })
    await expectRefused(attached, { kind: 'holder', name: 'vg-lv (LVM)', device: 'sdb' })
    stacked.remove()
    await expectDetached(attached)
  })

  test('a process', async () => {
    const attached = await attachMap()
    const open = attached.dom0.openDevice('/dev/sda', 4711, 'dd')
    await expectRefused(attached, { kind: 'process', name: '4711 dd', device: 'sda' })
    open.close()
    await expectDetached(attached)
  })

  test('a guest that got the plain disk before there was a map', async () => {
    const attached = await attachDisk()
    const { dom0, lun } = attached
    const backend = connect(dom0, lun.device)
    await tell(dom0, 'add', 'map', dom0.state().disks[0]?.wwid ?? '')
    expect(dom0.state().maps).toMatchObject([{ disks: ['sda'] }])
    await expectRefused(attached, { kind: 'xen-backend', name: 'vbd-1-51712', state: 'Connected', device: 'sda' })
    backend.setState('Closing')
    const gone = dom0.host.clock.sleep(2000).then(() => backend.remove())
    await expectDetached(attached)
    await gone
  })

  test('a mount on a path that could not join the map for it', async () => {
    const attached = await attachMap()
    const { dom0, lun } = attached
    await tell(dom0, 'del', 'path', 'sdb')
    const mounted = dom0.mount('/dev/sdb', '/mnt')
    expect(lun.isDegraded).toBe(false)
    await expectRefused(attached, { kind: 'mount', name: '/mnt', device: 'sdb' })
    mounted.unmount()
    await expectDetached(attached)
  })
})

describe.each(['map', 'disk'] as const)('a %s is in use by', kind => {
  test.each([
    ['btrfs', { fsType: 'btrfs' }, { kind: 'mount', name: '/srv' }],
    ['a mount of another namespace', { isElsewhere: true }, { kind: 'open', name: /claimed by the kernel/ }],
  ] as const)('%s', async (_, options, user) => {
    const attached = await kinds[kind]()
    const mounted = attached.dom0.mount(attached.lun.device, '/srv', options)
    await expectRefused(attached, { kind: user.kind, name: expect.stringMatching(user.name) as unknown })
    mounted.unmount()
    await expectDetached(attached)
  })

  test('one within the kernel that no table names, also by force', async () => {
    const attached = await kinds[kind]()
    const { dom0 } = attached
    const claimed = dom0.claimDevice(attached.lun.device)
    await expectRefused(attached, { kind: 'open', name: 'claimed by the kernel or in another namespace' })
    expect(await rejection(detachLun(address, { ...dom0, force: true }))).toMatchObject({ code: 'LUN_IN_USE' })
    claimed.release()
    await expectDetached(attached)
  })

  test('a process that has a node of another name', async () => {
    const attached = await kinds[kind]()
    const open = attached.dom0.openDevice(attached.lun.device, 4711, 'qemu', { as: '/tmp/xvda' })
    await expectRefused(attached, { kind: 'process', name: '4711 qemu' })
    open.close()
    await expectDetached(attached)
  })

  test('nobody, though a process has files of a server that is dead', async () => {
    const attached = await kinds[kind]()
    attached.dom0.openHungFile(4711, '/mnt/nas/disk.img')
    const detached = expectDetached(attached)
    expect(await virtualMs(attached.dom0, detached)).toBeLessThan(1000)
    await detached
  })
})

describe('a partition in use is named:', () => {
  test("the kernel's, by who mounted it, claimed it, serves it or has it open", async () => {
    const attached = await attachDisk()
    const { dom0 } = attached
    const { path } = dom0.partition('/dev/sda')
    const mounted = dom0.mount(path, '/mnt')
    await expectRefused(attached, { kind: 'mount', name: '/mnt', device: 'sda1' })
    mounted.unmount()
    const claimed = dom0.claimDevice(path)
    await expectRefused(attached, { kind: 'open', device: 'sda1' })
    claimed.release()
    const open = dom0.openDevice(path, 4711, 'dd')
    await expectRefused(attached, { kind: 'process', name: '4711 dd', device: 'sda1' })
    open.close()
    const backend = connect(dom0, path)
    await expectRefused(attached, { kind: 'xen-backend', device: 'sda1' })
    backend.remove()
    await expectDetached(attached)
  })

  test("a map's, by a process", async () => {
    const attached = await attachMap()
    const { dom0, lun } = attached
    const part = dom0.stackDevice({ on: lun.device, name: `${lun.wwid}-part1`, uuid: `part1-mpath-${lun.wwid}` })
    const open = dom0.openDevice(part.path, 4711, 'postgres')
    await expectRefused(attached, { kind: 'process', name: '4711 postgres', device: part.name })
    open.close()
    await expectDetached(attached)
  })
})

describe('what could not be judged is not unused:', () => {
  test('a node that is of another device', async () => {
    const attached = await attachDisk()
    const { files } = attached.dom0.host
    const stat = async (path: string) => {
      const found = await files.stat(path)
      return path === '/dev/sda' && found !== undefined ? { ...found, device: { major: 8, minor: 32 } } : found
    }
    const host = { ...attached.dom0.host, files: { ...files, stat } }
    const before = attached.dom0.state()
    expect(await rejection(detachLun(address, { host, busyMs: 1000 }))).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('/dev/sda, which is not the node of 8:0') as unknown,
    })
    expect(attached.dom0.state()).toEqual(before)
    await expectDetached(attached)
  })

  test.each([
    ['itself', { timeoutMs: 60_000 }],
    ['by the time of the operation', { timeoutMs: 3000 }],
  ])('a file that does not answer, which is given up %s', async (_, options) => {
    const attached = await attachDisk()
    const { dom0 } = attached
    dom0.openDevice('/dev/sda', 4711, 'dd').close()
    dom0.openDevice('/dev/sda', 4711, 'dd', { as: '/tmp/xvda' })
    const { files } = dom0.host
    const statOpen = async (pid: string, descriptor: string) =>
      pid === '4711' ? await new Promise<undefined>(() => {}) : await files.statOpen(pid, descriptor)
    const host = { ...dom0.host, files: { ...files, statOpen } }
    const detached = rejection(detachLun(address, { host, ...options }))
    expect(await virtualMs(dom0, detached)).toBeLessThan(11_000)
    expect(await detached).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('/tmp/xvda of process 4711') as unknown,
    })
    expect(await rejection(detachLun(address, dom0))).toMatchObject({ code: 'LUN_IN_USE' })
  })
})
