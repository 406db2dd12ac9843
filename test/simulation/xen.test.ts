import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, createXenstore, detachLun, type Files } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { createInquiry } from '../../src/block/inquiry.ts'
import { findOpenDevices } from '../../src/block/open-devices.ts'
import { nameProcesses } from '../../src/block/processes.ts'
import { readStack } from '../../src/block/stack.ts'
import { findUsers } from '../../src/block/users.ts'
import { findXenBackends } from '../../src/block/xen-backends.ts'

const target = 'iqn.2001-05.com.example:vm1'
const guest = { domid: 1, name: 'guest', uuid: 'b2c3d4e5-0000-4000-8000-000000000001' }
const disk = { domid: 1, devid: 51712 }
const VBD = '/sys/bus/xen-backend/devices/vbd-1-51712'

async function createAttached(): Promise<{ dom0: SimulatedDom0; lun: Attachment; files: Files }> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  const lun = await attachLun({ target, portals: dom0.san.portals }, dom0)
  dom0.xen.addDomain(guest)
  return { dom0, lun, files: dom0.host.files }
}

const detachNow = async (dom0: SimulatedDom0): Promise<unknown> =>
  await detachLun({ target }, { ...dom0, busyMs: 500 }).then(
    ({ outcome }) => outcome,
    (error: unknown) => error
  )

test('a domain has a name, by its number and by its uuid', async () => {
  const { dom0 } = await createAttached()
  const xenstore = createXenstore(dom0.host)
  expect(await xenstore.read('/local/domain/1/name')).toBe('guest')
  expect(await xenstore.read('/local/domain/1/vm')).toBe(`/vm/${guest.uuid}`)
  expect(await xenstore.read(`/vm/${guest.uuid}/name`)).toBe('guest')
  dom0.xen.removeDomain(1)
  expect(await xenstore.exists('/local/domain/1')).toBe(false)
  expect(await xenstore.exists(`/vm/${guest.uuid}`)).toBe(false)
})

describe('blkback', () => {
  test('waits without a device, holds it from connecting on, and lets it go when it is removed', async () => {
    const { dom0, lun, files } = await createAttached()
    const backend = dom0.xen.addBackend({ ...disk, device: lun.device, mode: 'r' })
    expect(backend.path).toBe('/local/domain/0/backend/vbd/1/51712')
    expect(await files.read(`${VBD}/state`)).toBe('InitWait\n')
    expect(await files.read(`${VBD}/nodename`)).toBe('backend/vbd/1/51712\n')
    expect(await files.read(`${VBD}/physical_device`)).toBeUndefined()

    backend.connect()
    const { major, minor } = lun.deviceNumber
    expect(await files.read(`${VBD}/physical_device`)).toBe(`${major.toString(16)}:${minor.toString(16)}\n`)
    expect(await files.read(`${VBD}/mode`)).toBe('r\n')
    expect(await detachNow(dom0)).toMatchObject({
      code: 'LUN_IN_USE',
      details: { users: [{ kind: 'xen-backend', name: 'vbd-1-51712', state: 'Connected' }] },
    })
    backend.setState('Closing')
    expect(await files.read(`${VBD}/state`)).toBe('Closing\n')
    expect(await detachNow(dom0)).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ state: 'Closing' }] } })

    backend.remove()
    expect(await files.list('/sys/bus/xen-backend/devices')).toEqual([])
    expect(await detachNow(dom0)).toBe('detached')
    expect(dom0.leftovers()).toEqual([])
  })

  test('connects as soon as a block script writes physical-device, and goes with its node', async () => {
    const { dom0, lun, files } = await createAttached()
    const { path } = dom0.xen.addBackend({ ...disk, params: target })
    const xenstore = createXenstore(dom0.host)
    expect(await xenstore.read(`${path}/params`)).toBe(target)
    const { major, minor } = lun.deviceNumber
    const number = `${major.toString(16)}:${minor.toString(16)}`
    await xenstore.write({ [`${path}/physical-device`]: number, [`${path}/hotplug-status`]: 'connected' })
    expect([await files.read(`${VBD}/physical_device`), await files.read(`${VBD}/state`)]).toEqual([
      `${number}\n`,
      'Connected\n',
    ])
    expect(await xenstore.read(`${path}/state`)).toBe('4')
    await xenstore.rm(path)
    expect(await files.list('/sys/bus/xen-backend/devices')).toEqual([])
    expect(await detachNow(dom0)).toBe('detached')
  })

  test('has nothing to do with a device that is not there', async () => {
    const { dom0 } = await createAttached()
    const backend = dom0.xen.addBackend(disk)
    await createXenstore(dom0.host).write({ [`${backend.path}/physical-device`]: 'fd:63' })
    expect(() => backend.connect()).toThrow('no device')
  })

  test('is no more after a reboot, and what is left of it harms nobody', async () => {
    const { dom0, lun } = await createAttached()
    const old = dom0.xen.addBackend({ ...disk, device: lun.device })
    old.connect()
    await dom0.reboot()
    expect(await dom0.host.files.list('/sys/bus/xen-backend/devices')).toEqual([])
    dom0.xen.addBackend(disk)
    old.remove()
    expect(await dom0.host.files.list('/sys/bus/xen-backend/devices')).toEqual(['vbd-1-51712'])
  })
})

test('QEMU has the device of a qdisk open, and nothing of it is in sysfs', async () => {
  const { dom0, lun, files } = await createAttached()
  const backend = dom0.xen.addBackend({ ...disk, kind: 'qdisk', device: lun.device })
  expect(backend.path).toBe('/local/domain/0/backend/qdisk/1/51712')
  backend.connect()
  expect(await files.list('/sys/bus/xen-backend/devices')).toEqual([])
  const map = await readStack(files, ['dm-0'])
  expect(await findUsers(files, map, await findXenBackends(files))).toEqual([])
  const inquiry = createInquiry(new AbortController().signal)
  expect(await nameProcesses(files, map, await findOpenDevices(files, inquiry))).toEqual([
    { kind: 'process', device: 'dm-0', name: '2001 qemu-system-i38' },
  ])
  expect(await detachNow(dom0)).toMatchObject({ code: 'LUN_IN_USE' })
  backend.remove()
  expect(await files.list('/proc/2001')).toEqual([])
  expect(await detachNow(dom0)).toBe('detached')
})

test('xenstored that does not run answers nobody', async () => {
  const dom0 = createSimulatedDom0({ faults: { stopped: ['xenstored'] } })
  const xenstore = createXenstore(dom0.host)
  expect(dom0.daemons.xenstored.isRunning()).toBe(false)
  await expect(xenstore.read('/local/domain/0/name')).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
  await dom0.daemons.xenstored.start()
  expect(await xenstore.read('/local/domain/0/name')).toBe('Domain-0')
  await dom0.daemons.xenstored.stop()
  await expect(xenstore.list('/local/domain')).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
})
