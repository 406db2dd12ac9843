import { describe, expect, test } from 'vitest'
import { attachLun, createMultipath, detachLun, type Executor, isLunError } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type SimulationOptions } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const create = (options: SimulationOptions = {}): SimulatedDom0 =>
  createSimulatedDom0({
    volumes: [
      { name: 'v0', sizeMiB: 64 },
      { name: 'v1', sizeMiB: 64 },
    ],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
    ...options,
  })
const request = ({ san }: SimulatedDom0) => ({ target, portals: san.portals })

describe('faults from the start', () => {
  test('a portal that is cut makes an attach degraded', async () => {
    const dom0 = create({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
    const lun = await attachLun(request(dom0), dom0)
    expect(lun.paths.map(({ portal, state }) => `${portal} ${state}`)).toEqual([
      '10.0.1.1:3260 up',
      '10.0.2.1:3260 pending',
    ])
    await lun.detach()
    expect(dom0.leftovers()).toEqual([])
  })

  test.each([
    ['iscsid', 'ISCSID_NOT_RUNNING'],
    ['multipathd', 'MULTIPATHD_NOT_RUNNING'],
  ] as const)('%s that does not run is told', async (daemon, code) => {
    const dom0 = create({ faults: { stopped: [daemon] } })
    await expect(attachLun(request(dom0), dom0)).rejects.toMatchObject({ code })
    await dom0.daemons[daemon].start()
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('files planted', () => {
  test('a stale lock of iscsiadm costs 30 s and no more', async () => {
    const dom0 = create()
    await dom0.host.files.makeDirectory('/run/lock/iscsi', 0o700)
    await dom0.host.files.replace('/run/lock/iscsi/lock.write', '', 0o600)
    const lun = await attachLun(request(dom0), { ...dom0, timeoutMs: 60_000 })
    expect(dom0.host.clock.now()).toBeGreaterThan(30_000)
    expect(dom0.host.clock.now()).toBeLessThan(35_000)
    await lun.detach()
  })

  test('a damaged record of another target disturbs nothing', async () => {
    const dom0 = create()
    const folder = '/var/lib/iscsi/nodes/iqn.2001-05.com.example:other'
    await dom0.host.files.makeDirectory(folder, 0o700)
    await dom0.host.files.replace(`${folder}/10.0.1.1,3260`, 'node.name', 0o600)
    const lun = await attachLun(request(dom0), dom0)
    await lun.detach()
    expect(dom0.leftovers()).toEqual([`records: ${folder}/10.0.1.1,3260`])
  })
})

test('a device in use is not detached, and the user is named', async () => {
  const dom0 = create()
  const lun = await attachLun(request(dom0), dom0)
  const device = dom0.openDevice(lun.device, 4711)
  const error: unknown = await detachLun({ target }, { ...dom0, busyMs: 1000 }).catch((e: unknown) => e)
  expect(isLunError(error, 'LUN_IN_USE') && error.details.users[0]?.name).toBe('4711 holder')
  device.close()
  expect((await detachLun({ target }, dom0)).outcome).toBe('detached')
})

test('what was cut off comes back: a path fails, and works again', async () => {
  const dom0 = create()
  const lun = await attachLun(request(dom0), dom0)
  const written = new TextEncoder().encode('hello')
  await dom0.writeDevice(lun.device, 4096, written)
  await dom0.san.cutPortal('10.0.1.1:3260')
  await dom0.host.clock.sleep(30_000)
  const states = (): unknown => dom0.state().watched?.flatMap(({ paths }) => paths.map(({ checker }) => checker))
  expect(states()).toEqual(['faulty', 'ready'])
  expect(await dom0.readDevice(lun.device, 4096, written.length)).toEqual(written)
  await dom0.san.restorePortal('10.0.1.1:3260')
  await dom0.host.clock.sleep(30_000)
  expect(states()).toEqual(['ready', 'ready'])
})

test('a LUN detached by another process does not come back with the portal that was missing', async () => {
  const dom0 = create({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
  const lun = await attachLun(request(dom0), dom0)
  expect(lun.isDegraded).toBe(true)
  await detachLun({ target }, dom0.startUser())
  await dom0.san.restorePortal('10.0.2.1:3260')
  await dom0.host.clock.sleep(180_000)
  expect(dom0.leftovers()).toEqual([])
})

test('a late path to another volume is taken away again, with the map multipathd made of it', async () => {
  const dom0 = create({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
  const lun = await attachLun(request(dom0), dom0)
  await dom0.san.remapLun(target, 0, 'v1')
  await dom0.san.restorePortal('10.0.2.1:3260')
  const [, second] = await lun.allPaths()
  expect(isLunError(second?.error, 'LUN_MISMATCH')).toBe(true)
  await dom0.host.clock.sleep(5000)
  const { disks, maps, wwids } = dom0.state()
  expect([disks.map(({ wwid }) => wwid), maps.map(({ uuid }) => uuid), wwids]).toEqual([
    [lun.wwid],
    [`mpath-${lun.wwid}`],
    [lun.wwid],
  ])
})

test.each([0, 20, 60, 100, 200, 400])('a portal that answers %i ms into a detach gives no path back', async ms => {
  const dom0 = create({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
  await attachLun(request(dom0), dom0)
  const detaching = detachLun({ target }, dom0.startUser())
  await dom0.host.clock.sleep(ms)
  await dom0.san.restorePortal('10.0.2.1:3260')
  expect((await detaching).outcome).toBe('detached')
  await dom0.host.clock.sleep(180_000)
  expect(dom0.leftovers()).toEqual([])
})

test('sessions are logged out only when multipathd has forgotten their paths', async () => {
  const dom0 = create()
  const { host } = dom0
  await attachLun(request(dom0), dom0)
  const known: number[] = []
  const executor: Executor = {
    exec: async (command, options) => {
      if (command.args.includes('--logout')) known.push((await createMultipath(host).paths()).length)
      return await host.executor.exec(command, options)
    },
  }
  await detachLun({ target }, { host: { ...host, executor } })
  expect(known).toEqual([0])
})
