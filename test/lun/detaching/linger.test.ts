import { describe, expect, test } from 'vitest'
import { detachLun, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { draftOf } from '../../../src/host/files.ts'
import { alias, attach, createDom0, detach, expectNoChange, ownersOf, target, VBD_1 } from '../guests.ts'
import { rejection } from '../helpers.ts'
import { detachLingering, loginsOf, release, TTL_MS } from '../holds.ts'

const over = 'its time to linger is over'

describe('a LUN that lingers', () => {
  test('is there for the next add: of add, remove, add and remove one login is made, and in the end nothing is left', async () => {
    const dom0 = createDom0()
    const first = await attach(dom0, VBD_1)
    const before = dom0.state()
    expect(await detachLingering(dom0, VBD_1)).toEqual(['lingering', `linger:${VBD_1}`])
    expect(dom0.state()).toEqual(before)
    const second = await attach(dom0, VBD_1)
    expect([second.outcome, second.device]).toEqual(['already-attached', first.device])
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
    expect(await detachLingering(dom0, VBD_1)).toEqual(['lingering', `linger:${VBD_1}`])
    expect(loginsOf(dom0)).toBe(1)
    await dom0.host.clock.sleep(TTL_MS - 1000)
    expect((await release(dom0)).gone).toEqual([])
    await dom0.host.clock.sleep(1000)
    expect(await release(dom0)).toEqual({ gone: [`linger:${VBD_1}: ${over}`], nextInMs: undefined })
    expect(dom0.leftovers()).toEqual([])
  })

  test.each(['default', 'a'.repeat(200), `${'a'.repeat(192)} b`])(
    'is released under a name that is one, after %j, by reconcile too',
    async owner => {
      const dom0 = createDom0()
      await attach(dom0, owner)
      const [outcome, name] = await detachLingering(dom0, owner)
      expect([outcome, name]).toEqual(['lingering', expect.stringMatching(/^linger:.{1,192}[^ ]$/)])
      expect((await reconcile(dom0)).actions).toEqual([])
      await dom0.host.clock.sleep(TTL_MS)
      expect(await reconcile({ ...dom0, apply: true })).toMatchObject({ actions: [{ owner: name }], failed: [] })
      expect(dom0.leftovers()).toEqual([])
    }
  )

  test('is taken over by any owner, who keeps it beyond that time', async () => {
    const dom0 = createDom0()
    await attach(dom0, VBD_1)
    await detachLingering(dom0, VBD_1)
    expect((await attach(dom0, 'backup')).outcome).toBe('already-attached')
    expect(await ownersOf(dom0.host)).toEqual({ backup: 'attached' })
    await dom0.host.clock.sleep(TTL_MS)
    expect((await release(dom0)).gone).toEqual([])
    expect(await detach(dom0, 'backup')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is not detached by its former owner once more, nor kept longer', async () => {
    const dom0 = createDom0()
    await attach(dom0, VBD_1)
    await detachLingering(dom0, VBD_1)
    const again = async (): Promise<unknown> => await detachLingering(dom0, VBD_1)
    expect(await expectNoChange(dom0, again)).toEqual(['already-detached', `linger:${VBD_1}`])
    expect(await detachLingering(dom0, `linger:${VBD_1}`)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is not that of a guest that is gone', async () => {
    const dom0 = createDom0()
    const backend = dom0.xen.addBackend({ domid: 1, devid: 51712, params: target })
    await attach(dom0, VBD_1)
    await detachLingering(dom0, VBD_1)
    backend.remove()
    expect((await reconcile(dom0)).actions).toEqual([])
    dom0.xen.addBackend({ domid: 2, devid: 51712, params: target })
    expect((await attach(dom0, 'backend/vbd/2/51712')).outcome).toBe('already-attached')
  })

  test('has everything written, before it is noted that its owner is gone', async () => {
    const calls: string[] = []
    const dom0 = createDom0({
      policy: ready => {
        if (ready[0]?.isEffect === true || ready[0]?.call.startsWith('sync') === true) calls.push(ready[0].call)
        return 0
      },
    })
    await attach(dom0)
    const before = calls.length
    await detachLingering(dom0)
    const noted = calls.slice(before).filter(call => call.startsWith('sync') || call.includes('/run/xen-lun/luns/'))
    expect(noted[0]).toBe('sync /dev/dm-0')
    const entry = `/run/xen-lun/luns/${target},0.json`
    expect(noted.slice(1)).toEqual([`create ${draftOf(entry)}`, `rename to ${entry}`])
  })
})

/** Opens a device as the kernel does for itself: no process has a descriptor. */
async function openByKernel(dom0: SimulatedDom0, path: string): Promise<void> {
  dom0.openDevice(path, 2, 'kthreadd')
  for (const name of await dom0.host.files.list('/proc/2/fd')) await dom0.host.files.remove(`/proc/2/fd/${name}`)
}

describe('the kernel says how often the map is open', () => {
  test('by whomever, and by one process', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    await openByKernel(dom0, device)
    const before = dom0.started.length
    const error = await expectNoChange(dom0, async () => await rejection(detachLingering(dom0)))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ kind: 'open', device: 'dm-0' }] } })
    expect(dom0.started.slice(before).every(line => line.startsWith('dmsetup info --columns '))).toBe(true)
  })

  test('and a partition of it, which has the map open itself', async () => {
    const dom0 = createDom0()
    const { device, wwid } = await attach(dom0)
    const { path } = dom0.stackDevice({ on: device, name: `${wwid}-part1`, uuid: `part1-mpath-${wwid}` })
    const before = dom0.started.length
    expect(await detachLingering(dom0)).toEqual(['lingering', 'linger:default'])
    expect(dom0.started.slice(before)).toHaveLength(1)
    await attach(dom0)
    await openByKernel(dom0, path)
    expect(await rejection(detachLingering(dom0))).toMatchObject({ code: 'LUN_IN_USE' })
  })

  test('or else it does not linger', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const { executor } = dom0.host
    const exec: typeof executor.exec = async (command, options) =>
      await executor.exec(command.file === 'dmsetup' ? { ...command, file: 'missing' } : command, options)
    expect(await detachLingering({ host: { ...dom0.host, executor: { exec } } })).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('it does not linger', () => {
  test('where a path of it is in no map', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.host.executor.exec({ file: 'multipathd', args: ['del', 'path', 'sdb'], decode: () => '' })
    expect(await detachLingering(dom0)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('while it is in use, which is said at once', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    const open = dom0.openDevice(device, 4711, 'dd')
    const error = await expectNoChange(dom0, async () => await rejection(detachLingering(dom0)))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ name: '4711 dd' }] } })
    open.close()
    const backend = dom0.xen.addBackend({ domid: 1, devid: 51712, device })
    backend.connect()
    expect(await rejection(detachLingering(dom0))).toMatchObject({ code: 'LUN_IN_USE' })
    expect(await ownersOf(dom0.host)).toEqual({ default: 'attached' })
  })

  test('with another owner there', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await attach(dom0, 'b')
    expect(await detachLingering(dom0, 'a')).toEqual(['released', 'b'])
    expect(await detach(dom0, 'b')).toEqual(['detached'])
  })

  test('where its map has paths through another target, whose LUN stays', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await attach(dom0, 'b', { target: alias, lun: 5 })
    expect(await detachLingering(dom0, 'a')).toEqual(['detached'])
    expect(dom0.state().disks.map(({ lun }) => lun)).toEqual([5, 5])
    expect(await detach(dom0, 'b', 5, alias)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test.each([
    ['with a path missing', { 1: true }],
    ['with no path at all', { 0: true, 1: true }],
  ])('%s', async (_, cut) => {
    const dom0 = createDom0()
    await attach(dom0)
    for (const n of Object.keys(cut)) await dom0.san.cutPortal(dom0.san.portals[Number(n)] ?? '')
    await dom0.host.clock.sleep(60_000)
    expect(await detachLingering(dom0)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('when the array has put another volume there', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.remapLun(target, 0, 'v1')
    expect(await detachLingering(dom0)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('by force, without a map, or when nobody had attached it', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const forced = await detachLun({ target }, { ...dom0, lingerMs: TTL_MS, force: true })
    expect(forced.outcome).toBe('detached')
    await dom0.daemons.multipathd.stop()
    await attach(dom0, 'a', { multipath: 'never' })
    expect(await detachLingering(dom0, 'a')).toEqual(['detached'])
    expect(await detachLingering(dom0, 'a')).toEqual(['already-detached'])
    expect(dom0.leftovers()).toEqual([])
  })
})

test.each([-1, 0.5, 3_600_001, Number.NaN])('it cannot linger for %d ms', async lingerMs => {
  const dom0 = createDom0()
  const refusal = { code: 'INVALID_INPUT', details: { field: 'lingerMs' } }
  await expect(detachLun({ target }, { ...dom0, lingerMs })).rejects.toMatchObject(refusal)
  expect(dom0.started).toEqual([])
})
