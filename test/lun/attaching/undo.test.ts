import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, isLunError, type LunEvent } from 'xen-lun'
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
