import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, createMultipath } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const lvm = { name: 'vg-lv', uuid: 'LVM-abc' }

async function createAttached(multipath?: 'never'): Promise<{ dom0: SimulatedDom0; lun: Attachment }> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
    ...(multipath === 'never' && { multipath: { findMultipaths: 'strict' } }),
  })
  const portals = multipath === 'never' ? dom0.san.portals.slice(0, 1) : dom0.san.portals
  return { dom0, lun: await attachLun({ target, portals, multipath: multipath ?? 'required' }, dom0) }
}

const ask = async ({ host }: SimulatedDom0, ...args: readonly string[]): Promise<string> =>
  (await host.executor.exec({ file: 'multipathd', args, decode: () => '' })).stdout

describe('who has a device alone', () => {
  test('shows, in whatever table it is, and until it ends', async () => {
    const { dom0, lun } = await createAttached('never')
    const isClaimed = async (): Promise<boolean | undefined> => await dom0.host.files.isClaimed(lun.device)
    expect(await isClaimed()).toBe(false)
    const mounted = dom0.mount(lun.device, '/mnt')
    expect(await isClaimed()).toBe(true)
    mounted.unmount()
    const swap = dom0.swapOn(lun.device)
    expect(await isClaimed()).toBe(true)
    swap.swapOff()
    const stacked = dom0.stackDevice({ on: lun.device, ...lvm })
    expect(await isClaimed()).toBe(true)
    stacked.remove()
    const claimed = dom0.claimDevice(lun.device)
    expect(await isClaimed()).toBe(true)
    expect(await dom0.host.files.read('/proc/self/mountinfo')).not.toContain(lun.device)
    expect(await dom0.host.files.list('/sys/block/sda/holders')).toEqual([])
    claimed.release()
    claimed.release()
    expect(await isClaimed()).toBe(false)
  })

  test('is nobody who opens it like a file: processes, blkback, QEMU', async () => {
    const { dom0, lun } = await createAttached('never')
    dom0.openDevice(lun.device)
    dom0.xen.addDomain({ domid: 1, name: 'guest', uuid: 'u1' })
    dom0.xen.addBackend({ domid: 1, devid: 51_712, device: lun.device }).connect()
    dom0.xen.addBackend({ domid: 1, devid: 51_728, kind: 'qdisk', device: lun.device }).connect()
    expect(await dom0.host.files.isClaimed(lun.device)).toBe(false)
    dom0.mount(lun.device, '/mnt').unmount()
  })

  test('is no other, but a file system may be mounted again', async () => {
    const { dom0, lun } = await createAttached('never')
    const busy = expect.objectContaining({ code: 'EBUSY' }) as unknown
    const first = dom0.mount(lun.device, '/mnt/a')
    const second = dom0.mount(lun.device, '/mnt/b')
    for (const take of [
      () => dom0.swapOn(lun.device),
      () => dom0.claimDevice(lun.device),
      () => dom0.stackDevice({ on: lun.device, ...lvm }),
    ]) {
      expect(take).toThrow(busy)
    }
    first.unmount()
    expect(() => dom0.claimDevice(lun.device)).toThrow(busy)
    second.unmount()
    dom0.swapOn(lun.device)
    expect(() => dom0.swapOn(lun.device)).toThrow(busy)
  })
})

describe('device-mapper is one holder', () => {
  test('so LVM may lie on a path beside the map, but nothing else may take it', async () => {
    const { dom0, lun } = await createAttached()
    const stacked = dom0.stackDevice({ on: '/dev/sda', ...lvm })
    expect(await dom0.host.files.list('/sys/block/sda/holders')).toEqual(['dm-0', stacked.name])
    expect(() => dom0.mount('/dev/sda', '/mnt')).toThrow('EBUSY')
    expect(() => dom0.swapOn('/dev/sdb')).toThrow('EBUSY')
    dom0.mount(lun.device, '/mnt').unmount()
  })

  test('so multipathd makes a map of a disk below LVM, and of none that is mounted', async () => {
    const { dom0, lun } = await createAttached('never')
    const wwid = dom0.state().disks[0]?.wwid ?? ''
    const mounted = dom0.mount(lun.device, '/mnt')
    expect(await ask(dom0, 'add', 'map', wwid)).toBe('fail\n')
    expect(dom0.state().maps).toEqual([])
    mounted.unmount()
    const stacked = dom0.stackDevice({ on: lun.device, ...lvm })
    expect(await ask(dom0, 'add', 'map', wwid)).toBe('ok\n')
    expect(await dom0.host.files.list('/sys/block/sda/holders')).toEqual([stacked.name, 'dm-1'])
  })

  test('and a path that somebody has is left out of the map until it is free', async () => {
    const { dom0, lun } = await createAttached()
    await ask(dom0, 'del', 'path', 'sdb')
    await createMultipath(dom0.host).flush(lun.wwid ?? '')
    const claimed = dom0.claimDevice('/dev/sdb')
    for (const disk of ['sda', 'sdb']) await ask(dom0, 'add', 'path', disk)
    await dom0.host.clock.sleep(1000)
    expect(await ask(dom0, 'add', 'path', 'sdb')).toBe('fail\n')
    const disksOf = (): unknown => dom0.state().maps.map(({ disks }) => disks)
    expect(disksOf()).toEqual([['sda']])
    claimed.release()
    expect(await ask(dom0, 'add', 'path', 'sdb')).toBe('ok\n')
    expect(disksOf()).toEqual([['sda', 'sdb']])
  })
})
