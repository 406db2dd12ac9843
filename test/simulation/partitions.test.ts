import { expect, test } from 'vitest'
import { attachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const MIB = 1 << 20

/** A plain disk, /dev/sda. */
async function createDisk(): Promise<SimulatedDom0> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
    multipath: { findMultipaths: 'strict' },
  })
  await attachLun({ target, portals: dom0.san.portals.slice(0, 1), multipath: 'never' }, dom0)
  return dom0
}

test('a partition shows below its disk, and in no list of disks', async () => {
  const dom0 = await createDisk()
  const { files } = dom0.host
  const partition = dom0.partition('/dev/sda', { startMiB: 2, sizeMiB: 4 })
  expect([partition.name, partition.path]).toEqual(['sda1', '/dev/sda1'])
  const read = async (name: string): Promise<string | undefined> =>
    (await files.read(`/sys/block/sda/sda1/${name}`))?.trim()
  expect(await Promise.all(['dev', 'partition', 'start', 'size', 'ro'].map(read))).toEqual([
    '8:1',
    '1',
    '4096',
    '8192',
    '0',
  ])
  expect(await files.list('/sys/block')).toEqual(['sda'])
  expect(await files.list('/sys/class/block')).toEqual(['sda', 'sda1'])
  expect(await files.list('/sys/dev/block')).toEqual(['8:0', '8:1'])
  const folder = await files.realpath('/sys/block/sda')
  expect(await files.realpath('/sys/class/block/sda1')).toBe(`${folder}/sda1`)
  expect(await files.realpath('/sys/dev/block/8:1')).toBe(`${folder}/sda1`)
  expect(await files.readLink('/sys/dev/block/8:0')).toBe(`../..${folder?.slice('/sys'.length)}`)
  expect(await files.readLink('/sys/block/sda')).toBe(`..${folder?.slice('/sys'.length)}`)
  expect((await files.stat(partition.path))?.device).toEqual({ major: 8, minor: 1 })
  expect(dom0.partition('/dev/sda', { startMiB: 8 }).path).toBe('/dev/sda2')

  partition.remove()
  expect(await files.list('/sys/class/block')).toEqual(['sda', 'sda2'])
  expect(await files.stat(partition.path)).toBeUndefined()
})

test('is a part of the volume, also for what lies on it', async () => {
  const dom0 = await createDisk()
  const partition = dom0.partition('/dev/sda', { startMiB: 2, sizeMiB: 4 })
  const data = new TextEncoder().encode('hello')
  await dom0.writeDevice(partition.path, 0, data)
  expect(await dom0.san.readVolume('v0', 2 * MIB, data.length)).toEqual(data)
  const stacked = dom0.stackDevice({ on: partition.path, name: 'vg-lv', uuid: 'LVM-abc' })
  expect(await dom0.readDevice(stacked.path, 0, data.length)).toEqual(data)
  expect(await dom0.host.files.list('/sys/block/sda/sda1/holders')).toEqual([stacked.name])
  expect(await dom0.host.files.list(`/sys/block/${stacked.name}/slaves`)).toEqual(['sda1'])
  expect(await dom0.readDevice(partition.path, 4 * MIB - 2, 10)).toHaveLength(2)
})

test('who has a partition alone has the disk from everybody but the other partitions', async () => {
  const dom0 = await createDisk()
  const isClaimed = async (path: string): Promise<boolean | undefined> => await dom0.host.files.isClaimed(path)
  const [first, second] = [dom0.partition('/dev/sda', { sizeMiB: 4 }), dom0.partition('/dev/sda', { startMiB: 8 })]
  const mounted = dom0.mount(first.path, '/mnt')
  expect(await dom0.host.files.read('/proc/self/mountinfo')).toContain(' 8:1 / /mnt ')
  expect(await Promise.all(['/dev/sda', first.path, second.path].map(isClaimed))).toEqual([true, true, false])
  const lvm = { name: 'vg-lv', uuid: 'LVM-abc' }
  expect(() => dom0.stackDevice({ on: '/dev/sda', ...lvm })).toThrow('EBUSY')
  const stacked = dom0.stackDevice({ on: second.path, ...lvm })
  expect(() => first.remove()).toThrow('in use')
  mounted.unmount()
  expect(await isClaimed('/dev/sda')).toBe(true)
  stacked.remove()
  expect(await isClaimed('/dev/sda')).toBe(false)
  const whole = dom0.claimDevice('/dev/sda')
  expect(await isClaimed(first.path)).toBe(true)
  expect(() => dom0.mount(first.path, '/mnt')).toThrow('EBUSY')
  whole.release()
})

test('a guest and a process may have one, and it goes with its disk', async () => {
  const dom0 = await createDisk()
  const { path } = dom0.partition('/dev/sda')
  dom0.openDevice(path, 4711, 'dd')
  dom0.xen.addDomain({ domid: 1, name: 'guest', uuid: 'u1' })
  dom0.xen.addBackend({ domid: 1, devid: 51_712, device: path }).connect()
  const { files } = dom0.host
  expect(await files.read('/sys/devices/vbd-1-51712/physical_device')).toBe('8:1\n')
  await files.write('/sys/block/sda/device/delete', '1')
  await dom0.host.clock.sleep(1000)
  expect([await files.stat(path), await files.list('/sys/class/block')]).toEqual([undefined, []])
})
