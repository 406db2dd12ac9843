import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, createMultipath, detachLun, isLunError } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'

async function createAttached(): Promise<{ dom0: SimulatedDom0; lun: Attachment }> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  return { dom0, lun: await attachLun({ target, portals: dom0.san.portals }, dom0) }
}

/** `detached`, or who uses it. */
async function detachNow(dom0: SimulatedDom0): Promise<unknown> {
  try {
    return (await detachLun({ target }, { ...dom0, busyMs: 500 })).outcome
  } catch (error) {
    if (!isLunError(error, 'LUN_IN_USE')) throw error
    return error.details.users.map(({ kind, device, name }) => `${kind} ${name} on ${device}`)
  }
}

test('a mount shows in every process, and keeps the device until it ends', async () => {
  const { dom0, lun } = await createAttached()
  const { pid } = dom0.startUser()
  const mounted = dom0.mount(lun.device, '/mnt/a disk')
  const line = await dom0.host.files.read('/proc/self/mountinfo')
  expect(line).toContain(`253:0 / /mnt/a\\040disk rw,relatime shared:1 - ext4 ${lun.device} rw\n`)
  expect(await dom0.host.files.read(`/proc/${pid}/mountinfo`)).toBe(line)
  expect(await detachNow(dom0)).toEqual(['mount /mnt/a\\040disk on dm-0'])
  mounted.unmount()
  expect(await dom0.host.files.read('/proc/self/mountinfo')).not.toContain('/mnt')
  expect(await detachNow(dom0)).toBe('detached')
})

test('swap keeps the device until it is off', async () => {
  const { dom0, lun } = await createAttached()
  const swap = dom0.swapOn(lun.device)
  expect(await detachNow(dom0)).toEqual(['swap /dev/dm-0 on dm-0'])
  swap.swapOff()
  expect(await detachNow(dom0)).toBe('detached')
})

test('an open device shows the command that has it', async () => {
  const { dom0, lun } = await createAttached()
  const device = dom0.openDevice(lun.device, 4711, 'dd')
  const another = dom0.openDevice(lun.device, 4711, 'cat')
  expect(await dom0.host.files.list('/proc/4711/fd')).toHaveLength(2)
  expect(await dom0.host.files.read('/proc/4711/comm')).toBe('dd\n')
  another.close()
  another.close()
  expect(await detachNow(dom0)).toEqual(['process 4711 dd on dm-0'])
  device.close()
  expect(await detachNow(dom0)).toBe('detached')
})

describe('a device on another one', () => {
  test('is a holder with a name of its own, and its I/O reaches the volume', async () => {
    const { dom0, lun } = await createAttached()
    const { files } = dom0.host
    const stacked = dom0.stackDevice({ on: lun.device, name: 'vg-lv', uuid: 'LVM-abc' })
    expect([stacked.name, stacked.path]).toEqual(['dm-1', '/dev/mapper/vg-lv'])
    expect(await files.list('/sys/block/dm-0/holders')).toEqual(['dm-1'])
    expect(await files.list('/sys/block/dm-1/slaves')).toEqual(['dm-0'])
    expect(await files.read('/sys/block/dm-1/dm/name')).toBe('vg-lv\n')
    expect(await files.read('/sys/block/dm-1/dm/uuid')).toBe('LVM-abc\n')
    const data = new TextEncoder().encode('hello')
    await dom0.writeDevice(stacked.path, 0, data)
    expect(await dom0.san.readVolume('v0', 0, data.length)).toEqual(data)
    expect(await detachNow(dom0)).toEqual([expect.stringMatching(/^holder .* on dm-0$/)])

    const mounted = dom0.mount(stacked.path, '/mnt')
    expect(() => stacked.remove()).toThrow('in use')
    mounted.unmount()
    stacked.remove()
    stacked.remove()
    expect(await files.stat(stacked.path)).toBeUndefined()
    expect(await detachNow(dom0)).toBe('detached')
    expect(dom0.leftovers()).toEqual([])
  })

  test('is not taken for a map by multipath', async () => {
    const { dom0, lun } = await createAttached()
    const { multipathd } = dom0.daemons
    const stacked = dom0.stackDevice({ on: lun.device, name: 'vg-lv', uuid: 'LVM-abc' })
    await multipathd.stop()
    await multipathd.start()
    expect(dom0.state().watched?.map(({ wwid }) => wwid)).toEqual([lun.wwid])
    await multipathd.stop()
    const { stdout } = await dom0.host.executor.exec({ file: 'multipath', args: ['-f', 'vg-lv'], decode: () => '' })
    expect(stdout).toBe('device not found\n')
    await multipathd.start()
    stacked.remove()
  })

  test('goes with the map if it is an unused partition, as multipath flushes', async () => {
    const { dom0, lun } = await createAttached()
    const name = lun.device.replace('/dev/mapper/', '')
    const part = dom0.stackDevice({ on: lun.device, name: `${name}-part1`, uuid: `part1-mpath-${name}` })
    const mounted = dom0.mount(part.path, '/mnt')
    const multipath = createMultipath(dom0.host)
    await expect(multipath.flush(name)).rejects.toMatchObject({ code: 'MAP_BUSY' })
    mounted.unmount()
    await multipath.flush(name)
    expect(dom0.state().maps).toEqual([])
    part.remove()
  })
})
