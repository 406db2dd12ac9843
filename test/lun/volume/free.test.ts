import { describe, expect, test } from 'vitest'
import { prewarm } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { attach, createDom0, expectNoChange, target, VBD_1, VBD_2 } from '../guests.ts'
import { rejection } from '../helpers.ts'

type Use = (dom0: SimulatedDom0, device: string) => unknown

/** How dom0 uses a device, and who is named then. */
const OF_DOM0: readonly (readonly [string, Use, object])[] = [
  ['a mount', (dom0, on) => dom0.mount(on, '/srv'), { kind: 'mount', name: '/srv' }],
  ['a mount of btrfs', (dom0, on) => dom0.mount(on, '/srv', { fsType: 'btrfs' }), { kind: 'mount', name: '/srv' }],
  ['swap', (dom0, on) => dom0.swapOn(on), { kind: 'swap' }],
  ['an LV', (dom0, on) => dom0.stackDevice({ on, name: 'vg-lv', uuid: 'LVM-abc' }), { kind: 'holder' }],
  ['a crypt device', (dom0, on) => dom0.stackDevice({ on, name: 'luks', uuid: 'CRYPT-LUKS2-abc' }), { kind: 'holder' }],
  ['a mount elsewhere', (dom0, on) => dom0.mount(on, '/x', { isElsewhere: true }), { kind: 'open' }],
  ['a process', (dom0, on) => dom0.openDevice(on, 4711, 'dd'), { kind: 'process', name: '4711 dd' }],
]

/** LUN 0 is attached by `backup`, and dom0 uses it. */
async function used(use: Use): Promise<SimulatedDom0> {
  const dom0 = createDom0()
  use(dom0, (await attach(dom0, 'backup')).device)
  dom0.xen.addBackend({ domid: 1, devid: 51712 })
  return dom0
}

describe('what dom0 uses is not given to a guest:', () => {
  test.each(OF_DOM0)('%s', async (_, use, user) => {
    const dom0 = await used(use)
    const error = await rejection(expectNoChange(dom0, async () => await attach(dom0, VBD_1)))
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { target, lun: 0, users: [user] } })
  })

  test.each(OF_DOM0)('%s, unless that is allowed', async (_, use) => {
    const dom0 = await used(use)
    expect((await attach(dom0, VBD_1, { sharing: 'allowed' })).outcome).toBe('already-attached')
  })

  test.each(OF_DOM0)('%s is no hindrance to dom0, the same owner or another one', async (_, use) => {
    const dom0 = await used(use)
    for (const owner of ['backup', undefined]) expect((await attach(dom0, owner)).outcome).toBe('already-attached')
  })

  test.each(OF_DOM0)('%s does not keep anybody from preparing it', async (_, use) => {
    const dom0 = await used(use)
    const warm = prewarm({ target, portals: dom0.san.portals }, { host: dom0.host, owner: 'migration', ttlMs: 60_000 })
    expect((await warm).outcome).toBe('already-attached')
  })
})

describe('who looks at a device for a moment', () => {
  test.each(['(udev-worker)', 'systemd-udevd', 'multipathd'])('does not use it: %s', async command => {
    const dom0 = await used((each, on) => each.openDevice(on, 300, command))
    expect((await attach(dom0, VBD_1)).outcome).toBe('already-attached')
  })

  test('is waited for: a program that reads a new device', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'backup')
    const open = dom0.openDevice(device, 301, 'pvscan')
    dom0.xen.addBackend({ domid: 1, devid: 51712 })
    const [lun] = await Promise.all([attach(dom0, VBD_1), dom0.host.clock.sleep(500).then(() => open.close())])
    expect(lun.outcome).toBe('already-attached')
  })
})

describe('what QEMU has', () => {
  /** The QEMU of a domain has the device of an emulated drive open, of which no backend tells. */
  const byQemu =
    (domid: number): Use =>
    (dom0, device) => {
      const backend = dom0.xen.addBackend({ domid, devid: 51728, kind: 'qdisk', device })
      backend.connect()
      return backend
    }

  test('is its own guest’s: the same domain gets its disk', async () => {
    const dom0 = await used(byQemu(1))
    expect((await attach(dom0, VBD_1)).outcome).toBe('already-attached')
  })

  test('is not given to another guest, nor to dom0', async () => {
    const dom0 = await used(byQemu(2))
    for (const owner of [VBD_1, 'backup', undefined]) {
      expect(await rejection(attach(dom0, owner))).toMatchObject({ code: 'LUN_SHARED', details: { domain: 'guest2' } })
    }
  })

  test('is not given to anybody where xenstore does not say so', async () => {
    const dom0 = await used(byQemu(2))
    await dom0.daemons.xenstored.stop()
    const users = [{ kind: 'process', name: expect.stringContaining('qemu') }]
    for (const owner of ['backup', undefined]) {
      expect(await rejection(attach(dom0, owner))).toMatchObject({ code: 'LUN_IN_USE', details: { users } })
    }
  })
})

test('a guest’s own use is its own', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0, VBD_2)
  dom0.xen.addBackend({ domid: 2, devid: 51712, device }).connect()
  expect((await attach(dom0, VBD_2)).outcome).toBe('already-attached')
})

describe('what cannot be read for want of descriptors is not absent:', () => {
  const EMFILE = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
  const failing = (dom0: SimulatedDom0, isLost: (path: string) => boolean): Pick<SimulatedDom0, 'host'> => {
    const { files } = dom0.host
    const read: typeof files.read = async path => {
      if (isLost(path)) throw EMFILE
      return await files.read(path)
    }
    return { host: { ...dom0.host, files: { ...files, read } } }
  }

  test('who started a process', async () => {
    const dom0 = await used((each, on) => each.openDevice(on, 4711, 'dd'))
    const error = await rejection(
      attach(
        failing(dom0, path => path === '/proc/4711/stat'),
        VBD_1
      )
    )
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ name: '4711 dd' }] } })
  })

  test('whether it is a QEMU', async () => {
    const dom0 = await used((each, on) => each.openDevice(on, 4711, 'dd'))
    for (const owner of ['backup', VBD_1]) {
      const asked = attach(
        failing(dom0, path => path === '/proc/4711/cmdline'),
        owner
      )
      expect(await rejection(asked)).toMatchObject({ code: 'LUN_IN_USE' })
    }
  })

  test('what a backend serves', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, VBD_1)
    dom0.xen.addBackend({ domid: 1, devid: 51712, device }).connect()
    dom0.xen.addBackend({ domid: 2, devid: 51712 })
    await dom0.host.files.remove(`/run/xen-lun/luns/${target},0.json`)
    const asked = attach(
      failing(dom0, path => path.endsWith('/physical_device')),
      VBD_2
    )
    expect(await rejection(asked)).toBe(EMFILE)
    expect(dom0.state().disks).toHaveLength(2)
  })
})
