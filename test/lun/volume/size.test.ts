import { describe, expect, test } from 'vitest'
import { type AttachOptions, attachLun, detachLun, type Files, prewarm, resizeLun, verifyLun } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { alias, attach, createDom0, target, VBD_1, VBD_2 } from '../guests.ts'
import { rejection } from '../helpers.ts'

const MIB = 1 << 20
const address = { target, lun: 0 }

const mapSizes = (dom0: SimulatedDom0): readonly number[] => dom0.state().maps.map(({ sizeBytes }) => sizeBytes / MIB)

/** The LUN is ready on this host, with nobody at it, and grows while another host uses it. */
async function grownElsewhere(how: 'prewarm' | 'linger' | 'attach'): Promise<SimulatedDom0> {
  const dom0 = createDom0()
  const { host, san } = dom0
  if (how === 'prewarm') await prewarm({ target, portals: san.portals }, { host, owner: 'migration', ttlMs: 600_000 })
  else await attach(dom0, 'a')
  if (how === 'linger') await detachLun(address, { host, owner: 'a', lingerMs: 600_000 })
  await san.resizeVolume('v0', 128)
  dom0.xen.addBackend({ domid: 1, devid: 51712 })
  return dom0
}

describe('a LUN that has grown elsewhere is handed over whole', () => {
  test.each(['prewarm', 'linger', 'attach'] as const)('after: %s', async how => {
    const dom0 = await grownElsewhere(how)
    const handed: number[] = []
    const handOver = async ({ sizeBytes }: { readonly sizeBytes: number }): Promise<void> => void handed.push(sizeBytes)
    const warnings: string[] = []
    const onEvent: AttachOptions['onEvent'] = event => void (event.type === 'warning' && warnings.push(event.message))
    const lun = await attach(dom0, VBD_1, {}, { handOver, onEvent })
    expect([lun.sizeBytes / MIB, handed, mapSizes(dom0)]).toEqual([128, [128 * MIB], [128]])
    expect(warnings).toEqual([expect.stringContaining(`from ${64 * MIB} to ${128 * MIB} bytes`)])
  })

  test('as a plain disk, too', async () => {
    const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
    const plain = { multipath: 'never', portals: ['10.0.1.1'] } as const
    await attach(dom0, 'a', plain)
    await dom0.san.resizeVolume('v0', 128)
    expect((await attach(dom0, 'a', plain)).sizeBytes).toBe(128 * MIB)
  })

  test('and what is expected is compared with what is handed over', async () => {
    const dom0 = await grownElsewhere('prewarm')
    const old = attach(dom0, VBD_1, { expected: { sizeBytes: 64 * MIB } })
    expect(await rejection(old)).toMatchObject({ code: 'LUN_MISMATCH', details: { what: 'size' } })
    expect((await attach(dom0, VBD_1, { expected: { sizeBytes: 128 * MIB } })).sizeBytes).toBe(128 * MIB)
  })

  test('but not under somebody who has it open', async () => {
    const dom0 = await grownElsewhere('attach')
    dom0.mount(`/dev/mapper/${dom0.state().maps[0]?.name}`, '/srv')
    const details = { what: 'size', expected: String(128 * MIB), found: String(64 * MIB) }
    const error = await rejection(attach(dom0, 'a'))
    expect(error).toMatchObject({ code: 'LUN_MISMATCH', details, message: expect.stringContaining('/srv') })
    expect(mapSizes(dom0)).toEqual([64])
    expect(await resizeLun(address, dom0)).toMatchObject({ outcome: 'resized' })
    expect((await attach(dom0, 'a')).sizeBytes).toBe(128 * MIB)
  })
})

describe('a LUN that has become smaller', () => {
  test('is not handed over', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await dom0.san.resizeVolume('v0', 32)
    const details = { what: 'size', expected: String(32 * MIB), found: String(64 * MIB) }
    for (const asked of [attach(dom0, 'b'), verifyLun(address, dom0)]) {
      expect(await rejection(asked)).toMatchObject({ code: 'LUN_MISMATCH', details })
    }
    expect(mapSizes(dom0)).toEqual([64])
  })

  test('is not resized, unless that is wanted', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'a')
    dom0.mount(device, '/srv')
    await dom0.san.resizeVolume('v0', 32)
    for (const options of [{}, { allowShrink: false }]) {
      expect(await rejection(resizeLun(address, { ...dom0, ...options }))).toMatchObject({
        code: 'LUN_SHRUNK',
        details: { ...address, sizeBytes: 32 * MIB, previousBytes: 64 * MIB },
      })
    }
    expect(mapSizes(dom0)).toEqual([64])
    expect(await resizeLun(address, { ...dom0, allowShrink: true })).toMatchObject({
      outcome: 'resized',
      sizeBytes: 32 * MIB,
    })
    expect(mapSizes(dom0)).toEqual([32])
  })

  test('by a yes that is none is an error before anything is asked', async () => {
    const dom0 = createDom0()
    // @ts-expect-error -- what JavaScript may pass
    expect(await rejection(resizeLun(address, { ...dom0, allowShrink: 'yes' }))).toMatchObject({
      code: 'INVALID_INPUT',
      details: { field: 'allowShrink' },
    })
  })
})

describe('resizeLun', () => {
  test.each([16, 256])('takes nothing over from another volume of %i MiB', async sizeMiB => {
    const dom0 = createDom0()
    const { device, wwid } = await attach(dom0, 'a')
    dom0.mount(device, '/srv')
    const other = await dom0.san.addVolume({ name: 'other', sizeMiB })
    await dom0.san.remapLun(target, 0, 'other')
    for (const options of [{}, { allowShrink: true }]) {
      expect(await rejection(resizeLun(address, { ...dom0, ...options }))).toMatchObject({
        code: 'LUN_MISMATCH',
        details: { what: 'wwid', expected: wwid, found: other.wwid },
      })
    }
    expect(mapSizes(dom0)).toEqual([64])
  })

  test('refuses while a path does not answer', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await dom0.san.resizeVolume('v0', 128)
    await dom0.san.setInquiries(dom0.san.portals[1], { isFailing: true })
    expect(await rejection(resizeLun(address, dom0))).toMatchObject({
      code: 'NO_PATHS',
      details: { failures: [{ step: expect.stringMatching(/^sd[ab]$/), message: 'does not answer' }] },
    })
    expect(mapSizes(dom0)).toEqual([64])
  })
})

describe('a path that has the former size still is named, not waited for:', () => {
  test('one through another target', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a', { portals: ['10.0.1.1'] })
    await attach(dom0, 'b', { target: alias, lun: 5, portals: ['10.0.2.1'] })
    await dom0.san.resizeVolume('v0', 128)
    const error = {
      code: 'LUN_MISMATCH',
      details: { what: 'size', expected: String(128 * MIB), found: String(64 * MIB) },
    }
    for (const asked of [resizeLun(address, dom0), attach(dom0, 'a', { portals: ['10.0.1.1'] })]) {
      expect(await rejection(asked)).toMatchObject({ ...error, message: expect.stringContaining('sdb') })
    }
    // Asked by its own target, all have the new size.
    expect(await resizeLun({ target: alias, lun: 5 }, dom0)).toMatchObject({ outcome: 'resized' })
    expect(mapSizes(dom0)).toEqual([128])
  })

  test('one that does not work', async () => {
    const dom0 = await grownElsewhere('prewarm')
    await dom0.san.cutPortal(dom0.san.portals[1])
    await dom0.host.clock.sleep(60_000)
    expect(await rejection(attach(dom0, VBD_1, { portals: ['10.0.1.1'] }))).toMatchObject({
      code: 'LUN_MISMATCH',
      details: { what: 'size', found: String(64 * MIB) },
    })
  })
})

describe('a path in standby, which does not say how large the LUN is,', () => {
  /** One of two paths has gone into standby, and the kernel has asked it since. */
  async function withStandby(): Promise<SimulatedDom0> {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await dom0.san.setStandby(dom0.san.portals[1], true)
    for (const name of ['sda', 'sdb']) await dom0.host.files.write(`/sys/block/${name}/device/rescan`, '1')
    expect(dom0.state().disks.map(({ sizeBytes }) => sizeBytes / MIB)).toContain(0)
    return dom0
  }

  test('is compared with nothing', async () => {
    const dom0 = await withStandby()
    const expected = { sizeBytes: 64 * MIB }
    expect(await verifyLun({ ...address, expected }, dom0)).toMatchObject({ sizeBytes: 64 * MIB })
    expect((await attach(dom0, 'b', { expected, portals: ['10.0.1.1'] })).sizeBytes).toBe(64 * MIB)
  })

  test('does not keep the LUN from growing', async () => {
    const dom0 = await withStandby()
    await dom0.san.resizeVolume('v0', 128)
    expect(await resizeLun(address, dom0)).toMatchObject({ outcome: 'resized', sizeBytes: 128 * MIB })
  })
})

test('a device of which nobody knows the size is not handed over', async () => {
  const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
  await dom0.san.setStandby('10.0.1.1:3260', true)
  const plain = { multipath: 'never', portals: ['10.0.1.1'] } as const
  expect(await rejection(attach(dom0, 'a', plain))).toMatchObject({ code: 'DEVICE_UNREADABLE' })
  expect(dom0.leftovers()).toEqual([])
})

test('paths that answer with different sizes are no one volume', async () => {
  const dom0 = createDom0()
  await attach(dom0, 'a')
  const { files } = dom0.host
  const read: Files['read'] = async path => (path === '/sys/block/sdb/size' ? '1024\n' : await files.read(path))
  const host = { ...dom0.host, files: { ...files, read } }
  const mismatch = { code: 'LUN_MISMATCH', details: { what: 'size' } }
  expect(await rejection(attachLun({ target, portals: dom0.san.portals }, { host, owner: VBD_2 }))).toMatchObject(
    mismatch
  )
  expect(await rejection(verifyLun(address, { host }))).toMatchObject(mismatch)
})
