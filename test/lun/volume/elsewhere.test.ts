import { describe, expect, test } from 'vitest'
import { type AttachRequest, createIscsiadm, detachLun, type HandedOver, type LunEvent, reconcile } from 'xen-lun'
import type { SimulatedDom0, SimulationOptions } from 'xen-lun/testing'
import { alias, attach, createDom0, detach, expectNoChange, target, VBD_1, VBD_2 } from '../guests.ts'
import { rejection } from '../helpers.ts'

/** The same volume, through another target. */
const other: Partial<AttachRequest> = { target: alias, lun: 5, portals: ['10.0.2.1'] }
const mine: Partial<AttachRequest> = { portals: ['10.0.1.1'] }
const plain = { multipath: 'never' } as const

/** multipathd leaves disks alone until it is told of them. */
function create(options: SimulationOptions = {}): SimulatedDom0 {
  return createDom0({ multipath: { findMultipaths: 'strict' }, ...options })
}

const disks = (dom0: SimulatedDom0): readonly string[] => dom0.state().disks.map(({ name }) => name)

const attached = async (work: Promise<{ readonly outcome: string }>): Promise<string> => (await work).outcome

describe('a volume that somebody has as a plain disk by one target', () => {
  test.each([{}, plain, { multipath: 'preferred' }] as const)('is no other device by another: %j', async how => {
    const dom0 = create()
    await attach(dom0, 'a', { ...mine, ...plain })
    for (const owner of ['a', 'b', VBD_1]) {
      const error = await rejection(expectNoChange(dom0, async () => await attach(dom0, owner, { ...other, ...how })))
      expect(error).toMatchObject({
        code: 'LUN_IN_USE',
        details: { target: alias, lun: 5, users: [{ kind: 'owner', device: 'sda', name: 'a' }] },
      })
    }
    expect(disks(dom0)).toEqual(['sda'])
  })

  test('is free by another once it is detached', async () => {
    const dom0 = create()
    await attach(dom0, 'a', { ...mine, ...plain })
    await detach(dom0, 'a')
    expect(await attached(attach(dom0, 'b', other))).toBe('attached')
  })

  test('is no other device by another while only a guest’s backend says so, of the same VM', async () => {
    const dom0 = create()
    const { device } = await attach(dom0, VBD_1, { ...mine, ...plain })
    dom0.xen.addBackend({ domid: 1, devid: 51712, device }).connect()
    await dom0.host.files.remove(`/run/xen-lun/luns/${target},0.json`)
    dom0.xen.addBackend({ domid: 1, devid: 51728 })
    const error = await rejection(attach(dom0, 'backend/vbd/1/51728', other))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ kind: 'xen-backend', device: 'sda' }] } })
  })
})

test('a disk whose detach did not end is its owner’s still: nobody gets another one beside it', async () => {
  const dom0 = create()
  await attach(dom0, 'a', { ...mine, ...plain })
  await dom0.daemons.multipathd.stop()
  await dom0.san.cutPortal('10.0.1.1:3260')
  const write = dom0.writeDevice('/dev/sda', 0, new Uint8Array([1])).catch(() => {})
  await dom0.host.clock.sleep(10_000)
  const { host } = dom0
  const refused = rejection(detachLun({ target, lun: 0 }, { host, owner: 'a', busyMs: 1000 }))
  expect(await refused).toMatchObject({ code: 'DETACH_INCOMPLETE' })
  for (const how of [{}, plain] as const) {
    if (how !== plain) await dom0.daemons.multipathd.start()
    expect(await rejection(attach(dom0, 'b', { ...other, ...how }))).toMatchObject({ code: 'LUN_IN_USE' })
  }
  await dom0.san.restorePortal('10.0.1.1:3260')
  await write
})

test('who had it as a plain disk once, and has a map now, has the map', async () => {
  const dom0 = create()
  await attach(dom0, 'a', { ...mine, ...plain })
  await createIscsiadm(dom0.host).logoutSession(dom0.state().sessions[0]?.id ?? 0)
  dom0.addSession({ target, portal: '10.0.2.1:3260', isScanned: false })
  expect((await attach(dom0, 'a', mine)).map).toBeDefined()
  expect((await attach(dom0, 'b', mine)).map).toBeDefined()
  await dom0.daemons.multipathd.stop()
  const beside = attach(dom0, 'c', { ...other, ...plain })
  expect(await rejection(beside)).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{}, {}] } })
})

test('a map in which somebody else’s disk has got stays, and the detach says so', async () => {
  const dom0 = createDom0()
  dom0.addSession({ target: alias, portal: '10.0.2.1:3260' })
  await dom0.host.clock.sleep(1000)
  const lun = await attach(dom0, 'a', mine)
  const { foreign } = { foreign: dom0.state().maps[0]?.disks }
  expect(foreign).toHaveLength(2)
  const warnings: string[] = []
  const onEvent = (event: LunEvent): void => void (event.type === 'warning' && warnings.push(event.message))
  await lun.detach({ onEvent })
  expect(warnings).toEqual([expect.stringContaining(`map ${lun.map?.name} stays`)])
})

describe('a disk of the volume that dom0 has by a session of its own', () => {
  test.each(['mount', 'process', 'LV'])('is not taken from it by another target: %s', async use => {
    const dom0 = create()
    dom0.addSession({ target, portal: '10.0.1.1:3260' })
    await dom0.host.clock.sleep(1000)
    expect(disks(dom0)).toContain('sda')
    const sda = `/dev/${dom0.state().disks.find(({ lun }) => lun === 0)?.name}`
    if (use === 'mount') dom0.mount(sda, '/srv')
    else if (use === 'process') dom0.openDevice(sda, 4711, 'dd')
    else dom0.stackDevice({ on: sda, name: 'vg-lv', uuid: 'LVM-abc' })
    const before = dom0.state()
    for (const how of [{}, plain] as const) {
      const error = await rejection(attach(dom0, 'b', { ...other, ...how }))
      expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ device: sda.slice('/dev/'.length) }] } })
      expect(dom0.state()).toMatchObject({ disks: before.disks, maps: before.maps })
    }
  })

  test('is no hindrance as long as nobody uses it', async () => {
    const dom0 = create()
    dom0.addSession({ target, portal: '10.0.1.1:3260' })
    await dom0.host.clock.sleep(1000)
    expect((await attach(dom0, VBD_1, { ...other, sharing: 'allowed' })).map).toBeDefined()
  })
})

describe('a volume that somebody has as a map by one target', () => {
  test('is no plain disk by another', async () => {
    const dom0 = create()
    await attach(dom0, 'a', mine)
    await dom0.daemons.multipathd.stop()
    for (const how of [plain, { multipath: 'preferred' }] as const) {
      const ask = async (): Promise<unknown> => await rejection(attach(dom0, 'b', { ...other, ...how }))
      expect(await expectNoChange(dom0, ask)).toMatchObject({
        code: 'LUN_IN_USE',
        details: { users: [{ kind: 'owner', name: 'a' }] },
      })
    }
  })

  test('is that map by another', async () => {
    const dom0 = create()
    const { device } = await attach(dom0, 'a', mine)
    expect(await attach(dom0, 'b', other)).toMatchObject({ outcome: 'attached', device })
  })
})

describe('a map that two targets have paths of', () => {
  const cutAll = async (dom0: SimulatedDom0): Promise<void> => {
    for (const portal of dom0.san.portals) await dom0.san.cutPortal(portal)
    await dom0.host.clock.sleep(60_000)
  }

  test('stays for the owner by the other target, though no path works', async () => {
    const dom0 = create()
    await attach(dom0, 'a', mine)
    const { device, map } = await attach(dom0, 'b', other)
    await cutAll(dom0)
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.state().maps).toMatchObject([{ name: map?.name, disks: ['sdb'] }])
    await dom0.san.restorePortal('10.0.2.1:3260')
    await dom0.host.clock.sleep(60_000)
    await dom0.writeDevice(device, 0, new Uint8Array([1]))
    expect(await detach(dom0, 'b', 5, alias)).toEqual(['detached'])
    await dom0.host.clock.sleep(60_000)
    await reconcile(dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('goes with the last owner, forced or not', async () => {
    const dom0 = create({ multipath: { findMultipaths: 'strict', noPathRetry: 'queue' } })
    await attach(dom0, 'a', mine)
    await attach(dom0, 'b', other)
    await cutAll(dom0)
    const [first, second] = [
      { target, lun: 0 },
      { target: alias, lun: 5 },
    ]
    expect(await detachLun(first, { ...dom0, owner: 'a', force: true })).toMatchObject({ writes: 'written' })
    expect(await detachLun(second, { ...dom0, owner: 'b', force: true })).toMatchObject({ outcome: 'detached' })
    expect([disks(dom0), dom0.state().maps]).toEqual([[], []])
  })

  test('is not flushed under somebody who gets it just now by the other target', async () => {
    for (let turn = 0; turn < 12; turn++) {
      let calls = 0
      const dom0 = create({ policy: ready => (turn === 0 ? 0 : (calls++ * turn) % ready.length) })
      await attach(dom0, 'a', mine)
      const users = [dom0.startUser(), dom0.startUser()] as const
      const seen: string[] = []
      const handOver = async ({ device }: HandedOver): Promise<void> => void seen.push(device)
      const [left, got] = await Promise.all([
        detach(users[0], 'a'),
        attach(users[1], 'b', other, { handOver }).then(({ device }) => device),
      ])
      expect([turn, left, seen]).toEqual([turn, ['detached'], [got]])
      await dom0.writeDevice(got, 0, new Uint8Array([turn]))
      expect(await detach(dom0, 'b', 5, alias)).toEqual(['detached'])
      expect(dom0.leftovers()).toEqual([])
    }
  })
})

test('two who want the volume as different devices by two targets at once: one gets it', async () => {
  for (let turn = 0; turn < 8; turn++) {
    let calls = 0
    const dom0 = create({ policy: ready => (turn === 0 ? 0 : (calls++ * turn) % ready.length) })
    const users = [dom0.startUser(), dom0.startUser()] as const
    const endings = await Promise.allSettled([
      attach(users[0], 'a', { ...mine, ...plain }),
      attach(users[1], 'b', { ...other, ...plain }),
    ])
    const codes = endings.map(each =>
      each.status === 'rejected' ? (each.reason as { code: string }).code : 'attached'
    )
    expect([turn, codes.filter(code => code === 'attached').length <= 1]).toEqual([turn, true])
    expect(codes.every(code => code === 'attached' || code === 'LUN_IN_USE')).toBe(true)
  }
})

test('a domain gets nothing of another one that is not through with it', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0, VBD_1)
  const backend = dom0.xen.addBackend({ domid: 1, devid: 51712, device })
  backend.connect()
  dom0.xen.removeDomain(1)
  backend.setState('Closing')
  dom0.xen.addBackend({ domid: 2, devid: 51712 })
  expect(await rejection(attach(dom0, VBD_2))).toMatchObject({
    code: 'LUN_IN_USE',
    details: { users: [{ kind: 'xen-backend', state: 'Closing' }] },
  })
  const late = dom0.host.clock.sleep(1000).then(() => backend.disconnect())
  const [lun] = await Promise.all([attach(dom0, VBD_2), late])
  expect(lun.outcome).toBe('already-attached')
})

test('what is left in xenstore of a guest that is gone keeps nobody from its disk', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0, VBD_1)
  const backend = dom0.xen.addBackend({ domid: 1, devid: 51712, device })
  backend.connect()
  backend.disconnect()
  dom0.xen.removeDomain(1)
  dom0.xen.addBackend({ domid: 2, devid: 51712 })
  expect((await attach(dom0, VBD_2)).outcome).toBe('already-attached')
})
