import { describe, expect, test } from 'vitest'
import { detachLun, releaseOwner, verifyLun } from 'xen-lun'
import type { SimulatedDom0, SimulationOptions } from 'xen-lun/testing'
import { alias, attach, createDom0, target, VBD_1 } from '../guests.ts'
import { rejection } from '../helpers.ts'

const first = { target, lun: 0 }
const second = { target: alias, lun: 5 }

/** One volume by two targets, each through a portal of its own, for one guest, on one map of sda and sdb. */
async function createShared(options: SimulationOptions = {}): Promise<SimulatedDom0> {
  const dom0 = createDom0({
    targets: [
      { iqn: target, luns: { 0: 'v0' }, portals: ['10.0.1.1:3260'] },
      { iqn: alias, luns: { 5: 'v0' }, portals: ['10.0.2.1:3260'] },
    ],
    ...options,
  })
  await attach(dom0, VBD_1, { portals: ['10.0.1.1'] })
  await attach(dom0, VBD_1, { ...second, portals: ['10.0.2.1'] })
  expect(dom0.state().maps).toMatchObject([{ disks: ['sda', 'sdb'] }])
  return dom0
}

const outcome = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    result => (result as { readonly outcome: string }).outcome,
    (error: unknown) => (error as { readonly code: string }).code
  )

const connect = (dom0: SimulatedDom0): void => {
  dom0.xen.addBackend({ domid: 1, devid: 51712, device: '/dev/dm-0' }).connect()
}

describe('a map with paths through two targets', () => {
  test('is kept as long as a path works through the other one, and is flushed then', async () => {
    const dom0 = await createShared()
    connect(dom0)
    expect(await outcome(detachLun(first, { ...dom0, owner: VBD_1 }))).toBe('detached')
    expect(dom0.state().maps).toMatchObject([{ disks: ['sdb'] }])
    expect(await outcome(detachLun(second, { ...dom0, owner: VBD_1 }))).toBe('LUN_IN_USE')
  })

  test.each(['fail', 'queue'] as const)(
    'is in use where the path through the other target does not work: no_path_retry %s',
    async noPathRetry => {
      const dom0 = await createShared({ multipath: { noPathRetry } })
      connect(dom0)
      await dom0.san.cutPortal('10.0.2.1:3260')
      await dom0.host.clock.sleep(60_000)
      const before = dom0.state()
      expect(await outcome(detachLun(first, { ...dom0, owner: VBD_1 }))).toBe('LUN_IN_USE')
      expect(dom0.state()).toEqual(before)
      await dom0.writeDevice('/dev/dm-0', 0, new Uint8Array([1]))
    }
  )

  test('is kept for the other one by whoever has the last path that works, and nothing is left in the end', async () => {
    const dom0 = await createShared()
    await dom0.san.cutPortal('10.0.2.1:3260')
    await dom0.host.clock.sleep(60_000)
    expect(await outcome(detachLun(first, { ...dom0, owner: VBD_1 }))).toBe('detached')
    expect(dom0.state().maps).toMatchObject([{ disks: ['sdb'] }])
    expect(await outcome(detachLun(second, { ...dom0, owner: VBD_1 }))).toBe('detached')
    expect(dom0.leftovers()).toEqual([])
  })

  test('is let go of by both at once: one keeps it for the other, who flushes it', async () => {
    const dom0 = await createShared()
    expect((await releaseOwner(VBD_1, dom0)).map(each => each.outcome)).toEqual(['detached', 'detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('and of none of them by both at once, while a guest has it', async () => {
    const dom0 = await createShared()
    connect(dom0)
    expect(await rejection(releaseOwner(VBD_1, dom0))).toMatchObject({ code: 'LUN_IN_USE' })
    expect(dom0.state().disks).toHaveLength(1)
    await dom0.writeDevice('/dev/dm-0', 0, new Uint8Array([1]))
  })

  test('by two processes at once, in whatever order they come', async () => {
    for (let turn = 0; turn < 6; turn++) {
      let calls = 0
      const dom0 = await createShared({ policy: ready => (turn === 0 ? 0 : (calls++ * turn) % ready.length) })
      const users = [dom0.startUser(), dom0.startUser()] as const
      const outcomes = await Promise.all([
        outcome(detachLun(first, { host: users[0].host, owner: VBD_1 })),
        outcome(detachLun(second, { host: users[1].host, owner: VBD_1 })),
      ])
      expect([turn, ...outcomes]).toEqual([turn, 'detached', 'detached'])
      expect(dom0.leftovers()).toEqual([])
    }
  })

  test('keeps the LUN whose own path somebody uses', async () => {
    const dom0 = await createShared()
    dom0.openDevice('/dev/sda', 4711, 'dd')
    expect(await outcome(detachLun(first, { ...dom0, owner: VBD_1 }))).toBe('LUN_IN_USE')
    expect(await outcome(detachLun(second, { ...dom0, owner: VBD_1 }))).toBe('detached')
  })
})

test('the disk of another target that is being deleted is no other volume', async () => {
  const dom0 = await createShared()
  const { files } = dom0.host
  const read = async (path: string): Promise<string | undefined> => {
    if (path === '/sys/block/sdb/device/wwid') return undefined
    return path === '/sys/block/sdb/device/state' ? 'deleted\n' : await files.read(path)
  }
  const host = { ...dom0.host, files: { ...files, read } }
  expect(await verifyLun(first, { host })).toMatchObject({ paths: [{ disk: 'sda' }] })
})

test('a detach of one target starts no process for a lock of the volume', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  const before = dom0.started.length
  await detachLun(first, dom0)
  expect(dom0.started.slice(before).filter(line => line.startsWith('flock'))).toHaveLength(1)
})
