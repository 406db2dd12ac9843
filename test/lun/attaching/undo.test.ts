import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, type HandedOver, isLunError, type LunEvent } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'

function createPlainDom0(): SimulatedDom0 {
  return createSimulatedDom0({
    multipath: { findMultipaths: 'strict' },
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
}

describe('an attach that fails leaves a plain disk to who took it meanwhile', () => {
  test('LVM, as soon as the disk is there', async () => {
    const dom0 = createPlainDom0()
    let hasTaken = false
    const onEvent = (event: LunEvent): void => {
      if (hasTaken || event.type !== 'start' || event.step !== 'device') return
      hasTaken = true
      dom0.stackDevice({ on: '/dev/sda', name: 'vg-lv', uuid: 'LVM-abc' })
    }
    const { portals } = dom0.san
    const attaching = attachLun({ target, portals, multipath: 'never' }, { host: dom0.host, onEvent })
    const error = await attaching.catch((reason: unknown) => reason)
    expect(isLunError(error, 'ATTACH_NOT_UNDONE') && error.message).toContain('vg-lv')
    expect(dom0.state().disks.map(({ name }) => name)).toEqual(['sda'])
  })

  test('a guest, when the hand-over took effect before it failed', async () => {
    const dom0 = createPlainDom0()
    dom0.xen.addDomain({ domid: 3, name: 'guest3', uuid: 'b2c3d4e5-0000-4000-8000-000000000003' })
    const backend = dom0.xen.addBackend({ domid: 3, devid: 51_712, device: '/dev/sda' })
    const handOver = async (): Promise<void> => {
      backend.connect()
      throw new Error('no answer')
    }
    const request = { target, portals: dom0.san.portals, multipath: 'never' } as const
    await expect(attachLun(request, { host: dom0.host, owner: 'a', handOver })).rejects.toMatchObject({
      code: 'ATTACH_NOT_UNDONE',
    })
    expect(dom0.state().disks.map(({ name }) => name)).toEqual(['sda'])
  })
})

type Take = (dom0: SimulatedDom0, device: string) => unknown

const TAKES: readonly (readonly [string, Take])[] = [
  ['a mount in another namespace', (dom0, device) => dom0.mount(device, '/srv', { isElsewhere: true })],
  ['the kernel, for LIO', (dom0, device) => dom0.claimDevice(device)],
  ['a process', (dom0, device) => dom0.openDevice(device, 4711, 'dd')],
  [
    'a backend that is closing',
    (dom0, device) => {
      const backend = dom0.xen.addBackend({ domid: 3, devid: 51_712, device })
      backend.connect()
      backend.setState('Closing')
    },
  ],
]

describe('an attach whose hand-over fails leaves what somebody has by then:', () => {
  test.each(TAKES)('a plain disk, %s', async (_, take) => {
    const dom0 = createPlainDom0()
    const handOver = async ({ device }: HandedOver): Promise<never> => {
      take(dom0, device)
      return await Promise.reject(new Error('no answer'))
    }
    const request = { target, portals: dom0.san.portals, multipath: 'never' } as const
    await expect(attachLun(request, { host: dom0.host, handOver })).rejects.toMatchObject({
      code: 'ATTACH_NOT_UNDONE',
      details: { steps: [{ step: 'in-use' }] },
    })
    expect(dom0.state().disks.map(({ name }) => name)).toEqual(['sda'])
  })

  test('a path below its map, a process', async () => {
    const dom0 = createPlainDom0()
    const handOver = async (): Promise<never> => {
      dom0.openDevice('/dev/sdb', 4711, 'dd')
      return await Promise.reject(new Error('no answer'))
    }
    const attaching = attachLun({ target, portals: dom0.san.portals }, { host: dom0.host, handOver })
    await expect(attaching).rejects.toMatchObject({ code: 'ATTACH_NOT_UNDONE' })
    expect(dom0.state()).toMatchObject({ maps: [{ disks: ['sda', 'sdb'] }] })
  })
})

describe('a late path that leads to another volume', () => {
  const USES: readonly (readonly [string, (dom0: SimulatedDom0) => unknown])[] = [
    ['a mount', dom0 => dom0.mount('/dev/sdb', '/srv')],
    ['a mount in another namespace', dom0 => dom0.mount('/dev/sdb', '/srv', { isElsewhere: true })],
    ['a process', dom0 => dom0.openDevice('/dev/sdb', 4711, 'dd')],
  ]

  test.each(USES)('is not taken from who has its disk by then, and that is told: %s', async (_, use) => {
    const dom0 = createSimulatedDom0({
      multipath: { findMultipaths: 'strict' },
      volumes: [
        { name: 'v0', sizeMiB: 64 },
        { name: 'v1', sizeMiB: 64 },
      ],
      targets: [{ iqn: target, luns: { 0: 'v0' } }],
      faults: { portals: { '10.0.2.1:3260': 'cut' } },
    })
    const { host, san } = dom0
    const warnings: string[] = []
    let isUsed = false
    const onEvent = (event: LunEvent): void => {
      if (event.type === 'warning') warnings.push(event.message)
      if (event.type !== 'path' || event.path.disk !== 'sdb' || isUsed) return
      isUsed = true
      use(dom0)
    }
    const lun = await attachLun({ target, portals: san.portals, paths: { lateMs: 600_000 } }, { host, onEvent })
    await san.remapLun(target, 0, 'v1')
    await san.restorePortal('10.0.2.1:3260')
    expect((await lun.allPaths())[1]?.error).toMatchObject({ code: 'LUN_MISMATCH' })
    await host.clock.sleep(30_000)
    expect(dom0.state().disks.map(({ name }) => name)).toEqual(['sda', 'sdb'])
    expect(warnings).toContainEqual(expect.stringContaining('leads to another volume, stays'))
  })
})

test("another guest's disk on a server that is dead, or of no possible name, refuses nobody", async () => {
  const dom0 = createPlainDom0()
  for (const domid of [3, 8, 9]) dom0.xen.addDomain({ domid, name: `guest${domid}`, uuid: `uuid-${domid}` })
  dom0.xen.addBackend({ domid: 8, devid: 51_712, kind: 'qdisk', params: `qcow2:/mnt/${'a'.repeat(300)}` })
  dom0.xen.addBackend({ domid: 9, devid: 51_712, kind: 'qdisk', params: `aio:/dev/${'b'.repeat(300)}` })
  const { path: owner } = dom0.xen.addBackend({ domid: 3, devid: 51_712 })
  const { outcome } = await attachLun({ target, portals: dom0.san.portals }, { host: dom0.host, owner })
  expect(outcome).toBe('attached')
})

test('a LUN that can no longer be written does not linger, and is no error of another kind', async () => {
  const dom0 = createPlainDom0()
  await attachLun({ target, portals: dom0.san.portals }, { host: dom0.host })
  let isUnmapped = false
  const onEvent = (event: LunEvent): void => {
    if (isUnmapped || event.type !== 'start' || event.step !== 'flush') return
    isUnmapped = true
    void dom0.san.unmapLun(target, 0)
  }
  const { outcome } = await detachLun({ target }, { host: dom0.host, lingerMs: 60_000, onEvent })
  expect(outcome).toBe('detached')
})
