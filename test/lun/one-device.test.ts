import { describe, expect, test } from 'vitest'
import { type AttachRequest, cooldown, prewarm } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { attach, createDom0, detach, expectNoChange, target, VBD_1 } from './guests.ts'
import { rejection } from './helpers.ts'

const strict = { multipath: { findMultipaths: 'strict' } } as const
const at = (portal: 1 | 2): Partial<AttachRequest> => ({ portals: [`10.0.${portal}.1`] })
const plain = (portal: 1 | 2): Partial<AttachRequest> => ({ ...at(portal), multipath: 'never' })
const both = { portals: ['10.0.1.1', '10.0.2.1'] }
const inUse = { code: 'LUN_IN_USE', details: { users: [{ kind: 'owner', device: 'sda', name: 'a' }] } }

const disks = (dom0: SimulatedDom0): readonly string[] => dom0.state().disks.map(({ name }) => name)

/** Owner `a` has the LUN by one path, without a map. */
async function plainlyAttached(): Promise<SimulatedDom0> {
  const dom0 = createDom0(strict)
  expect((await attach(dom0, 'a', plain(1))).device).toBe('/dev/sda')
  return dom0
}

describe('a LUN that somebody has as a plain disk', () => {
  test('is that very disk to the next one', async () => {
    const dom0 = await plainlyAttached()
    for (const request of [plain(1), { ...both, multipath: 'never' } as const]) {
      expect(await attach(dom0, 'b', request)).toMatchObject({ outcome: 'already-attached', device: '/dev/sda' })
    }
  })

  test('is no second disk at another portal, for nobody', async () => {
    const dom0 = await plainlyAttached()
    for (const owner of ['a', 'b']) {
      const ask = async (): Promise<unknown> => await rejection(attach(dom0, owner, plain(2)))
      expect(await expectNoChange(dom0, ask)).toMatchObject(inUse)
    }
    expect(disks(dom0)).toEqual(['sda'])
  })

  test.each([both, at(1), at(2)])('gets no map beside it: %j', async request => {
    const dom0 = await plainlyAttached()
    for (const owner of ['a', 'b']) {
      const ask = async (): Promise<unknown> => await rejection(attach(dom0, owner, request))
      expect(await expectNoChange(dom0, ask)).toMatchObject({
        code: 'MULTIPATH_REQUIRED',
        details: { reason: expect.stringContaining('sda') },
      })
    }
    expect([disks(dom0), dom0.state().maps]).toEqual([['sda'], []])
  })

  test('is that disk to who would rather have a map', async () => {
    const dom0 = await plainlyAttached()
    const lun = await attach(dom0, 'b', { ...both, multipath: 'preferred' })
    expect([lun.outcome, lun.device]).toEqual(['already-attached', '/dev/sda'])
  })

  test('gets no map made ready over it', async () => {
    const dom0 = createDom0(strict)
    const { deviceNumber } = await attach(dom0, VBD_1, plain(1))
    dom0.xen.addBackend({ domid: 1, devid: 51712, device: '/dev/sda' }).connect()
    const how = { host: dom0.host, owner: 'migration', ttlMs: 60_000 }
    expect(await rejection(prewarm({ target, ...both }, how))).toMatchObject({ code: 'MULTIPATH_REQUIRED' })
    await cooldown({ target }, { host: dom0.host, owner: 'migration' })
    expect(await rejection(detach(dom0, VBD_1))).toMatchObject({ code: 'LUN_IN_USE' })
    expect((await attach(dom0, VBD_1, plain(1))).deviceNumber).toEqual(deviceNumber)
  })

  test('is free again after its last owner', async () => {
    const dom0 = await plainlyAttached()
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect((await attach(dom0, 'b', plain(2))).outcome).toBe('attached')
    expect(await detach(dom0, 'b')).toEqual(['detached'])
    expect((await attach(dom0, 'b', both)).map).toBeDefined()
  })

  test('is free to its only owner once that disk is gone', async () => {
    const dom0 = await plainlyAttached()
    await dom0.host.files.write('/sys/block/sda/device/delete', '1')
    await dom0.host.clock.sleep(1000)
    expect(disks(dom0)).toEqual([])
    expect(await rejection(attach(dom0, 'b', plain(2)))).toMatchObject({ code: 'LUN_IN_USE' })
    expect((await attach(dom0, 'a', plain(2))).outcome).toBe('attached')
  })

  test('is none only because it was made ready as one', async () => {
    const dom0 = createDom0(strict)
    await prewarm({ target, ...plain(1) }, { host: dom0.host, owner: 'migration', ttlMs: 60_000 })
    expect((await attach(dom0, 'b', both)).map).toBeDefined()
  })
})

describe('a disk that is used by hand', () => {
  test.each(['mount', 'process'] as const)('gets no map over it, nor a second disk beside it: %s', async how => {
    const dom0 = await plainlyAttached()
    if (how === 'mount') dom0.mount('/dev/sda', '/srv')
    else dom0.openDevice('/dev/sda', 4711, 'dd')
    for (const path of dom0.state().journal) await dom0.host.files.remove(path)
    for (const request of [both, plain(2)]) {
      expect(await rejection(attach(dom0, 'b', request))).toMatchObject({
        code: 'LUN_IN_USE',
        details: { users: [{ kind: how, device: 'sda' }] },
      })
    }
    expect(dom0.state().maps).toEqual([])
    expect((await attach(dom0, 'b', plain(1))).device).toBe('/dev/sda')
  })
})

test('a LUN that somebody has as a map is no plain disk', async () => {
  const dom0 = createDom0(strict)
  await attach(dom0, 'a', both)
  expect(await rejection(attach(dom0, 'b', plain(1)))).toMatchObject({ code: 'LUN_IN_USE' })
})
