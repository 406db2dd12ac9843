import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, type VerifiedLun, type VerifiedPath, verifyLun } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, cutAll, rejection, target, virtualMs } from './helpers.ts'

const MIB = 1 << 20

const byDisk = ({ paths }: VerifiedLun): readonly VerifiedPath[] =>
  paths.toSorted((a, b) => a.disk.localeCompare(b.disk))

describe('all is well', () => {
  test('on every path, which is asked now', async () => {
    const dom0 = createDom0()
    const lun = await attach(dom0)
    const [before, started] = [dom0.state(), dom0.started.length]
    const { device, deviceNumber, sizeBytes, map, wwid } = lun
    const serial = '8a0906aaaaaa0001'
    const verified = await verifyLun(address, dom0)
    expect(verified).toMatchObject({ target, lun: 0, device, deviceNumber, sizeBytes, map, wwid })
    expect(byDisk(verified)).toEqual(['sda', 'sdb'].map(disk => ({ disk, wwid, serial, isLive: true })))
    const expected = { wwid: wwid ?? '', serial, sizeBytes: 64 * MIB }
    expect(await verifyLun({ ...address, expected }, dom0)).toMatchObject({ wwid })
    expect(dom0.state()).toEqual(before)
    expect(dom0.started.slice(started)).toEqual([])
  })

  test('of a LUN in use', async () => {
    const dom0 = createDom0()
    const { device, wwid } = await attach(dom0)
    dom0.mount(device, '/mnt')
    expect(await verifyLun(address, dom0)).toMatchObject({ wwid })
  })

  test('of a plain disk', async () => {
    const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
    await attachLun({ target, portals: [dom0.san.portals[0]], multipath: 'never' }, dom0)
    expect(await verifyLun(address, dom0)).toMatchObject({ device: '/dev/sda', map: undefined, paths: [{}] })
  })

  test('of a LUN that this library has not attached', async () => {
    const dom0 = createDom0()
    const { wwid } = await attach(dom0)
    for (const path of dom0.state().journal) await dom0.host.files.remove(path)
    expect(await verifyLun(address, dom0)).toMatchObject({ wwid })
  })
})

describe('what was expected is something else:', () => {
  test.each([
    ['wwid', { wwid: '3600000000000000000000000000000bad' }, '36001405', '3600000000000000000000000000000bad'],
    ['serial', { serial: 'abc' }, '8a0906aaaaaa0001', 'abc'],
    ['size', { sizeBytes: MIB }, String(64 * MIB), String(MIB)],
  ])('its %s', async (what, wanted, found, expected) => {
    const dom0 = createDom0()
    await attach(dom0)
    expect(await rejection(verifyLun({ ...address, expected: wanted }, dom0))).toMatchObject({
      code: 'LUN_MISMATCH',
      details: { ...address, what, expected, found: expect.stringMatching(`^${found}`) },
    })
  })

  test('not attached at all', async () => {
    const dom0 = createDom0()
    expect(await rejection(verifyLun(address, dom0))).toMatchObject({ code: 'LUN_NOT_FOUND' })
    await attach(dom0, 1)
    expect(await rejection(verifyLun(address, dom0))).toMatchObject({ code: 'LUN_NOT_FOUND' })
    expect(await rejection(verifyLun({ target: 'x' }, dom0))).toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('another volume behind a live session', () => {
  const wwids = async () => {
    const dom0 = createDom0()
    const [lun, other] = [await attach(dom0, 0), await attach(dom0, 1)]
    return { dom0, lun, expected: lun.wwid, found: other.wwid }
  }

  test('is found, and both are named; nothing is changed, and nothing started', async () => {
    const { dom0, lun, expected, found } = await wwids()
    await dom0.san.remapLun(target, 0, 'v1')
    const started = dom0.started.length
    const { sessions, maps, records, journal } = dom0.state()
    const error = await rejection(verifyLun(address, dom0))
    expect(error).toMatchObject({ code: 'LUN_MISMATCH', details: { ...address, what: 'wwid', expected, found } })
    expect(String(error)).toContain(expected)
    expect(String(error)).toContain(found)
    expect(dom0.state()).toMatchObject({ sessions, maps, records, journal })
    expect(dom0.started.slice(started)).toEqual([])
    await dom0.san.remapLun(target, 0, 'v0')
    expect(await verifyLun(address, dom0)).toMatchObject({ wwid: lun.wwid })
  })

  test('is found though one path cannot be asked', async () => {
    const { dom0, expected, found } = await wwids()
    await dom0.san.cutPortal(dom0.san.portals[0])
    await dom0.host.clock.sleep(60_000)
    await dom0.san.remapLun(target, 0, 'v1')
    expect(await rejection(verifyLun(address, dom0))).toMatchObject({ details: { expected, found } })
  })

  test('is found by an attach of the same owner and by one of another, and the map is not given to them', async () => {
    const { dom0, expected, found } = await wwids()
    await dom0.san.remapLun(target, 0, 'v1')
    for (const owner of [undefined, 'another']) {
      const { sessions, maps, records, journal } = dom0.state()
      expect(await rejection(attach(dom0, 0, dom0, owner))).toMatchObject({
        code: 'LUN_MISMATCH',
        details: { what: 'wwid', expected, found },
      })
      expect(dom0.state()).toMatchObject({ sessions, maps, records, journal })
    }
  })
})

test('a path that alone was rescanned to another volume is found', async () => {
  const dom0 = createDom0()
  const lun = await attach(dom0)
  // The other path cannot be asked, and the kernel remembers what it was.
  await dom0.san.cutPortal(dom0.san.portals[1])
  await dom0.host.clock.sleep(60_000)
  await dom0.san.remapLun(target, 0, 'v1')
  for (const name of ['sda', 'sdb']) await dom0.host.files.write(`/sys/block/${name}/device/rescan`, '1')
  const found = new Set(dom0.state().disks.map(({ wwid }) => wwid))
  expect(found.size).toBe(2)
  found.delete(lun.wwid ?? '')
  await dom0.san.restorePortal(dom0.san.portals[1])
  await dom0.san.cutPortal(dom0.san.portals[0])
  await dom0.host.clock.sleep(60_000)
  await dom0.san.remapLun(target, 0, 'v0')
  // Now the path that works leads to the right volume, and the one that does not work to the wrong one.
  expect(await rejection(verifyLun(address, dom0))).toMatchObject({
    code: 'LUN_MISMATCH',
    details: { expected: lun.wwid, found: [...found][0] },
  })
})

test("a map whose uuid is not its paths' is found, and not handed over", async () => {
  const dom0 = createDom0()
  await attach(dom0)
  const lun = dom0.state().maps[0]
  const { files } = dom0.host
  const journal = dom0.state().journal.find(path => path.includes('/luns/')) ?? ''
  // The journal and the paths agree on the new volume; only multipathd's map is still that of the old one.
  await dom0.san.remapLun(target, 0, 'v1')
  for (const name of ['sda', 'sdb']) await files.write(`/sys/block/${name}/device/rescan`, '1')
  const found = dom0.state().disks[0]?.wwid ?? ''
  const text = (await files.read(journal)) ?? ''
  await files.write(journal, text.replaceAll(lun?.name ?? '?', found))
  expect(await rejection(verifyLun(address, dom0))).toMatchObject({
    code: 'LUN_MISMATCH',
    details: { expected: found, found: lun?.name },
    message: expect.stringContaining(`wwid of ${lun?.name}`),
  })
  expect(await rejection(attach(dom0))).toMatchObject({ code: 'LUN_MISMATCH' })
})

describe('paths that do not work', () => {
  test('are told from those that do', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.cutPortal(dom0.san.portals[1])
    await dom0.host.clock.sleep(60_000)
    const isLive = byDisk(await verifyLun(address, dom0)).map(path => path.isLive)
    const { disks, sessions } = dom0.state()
    const works = (id: number): boolean => sessions.find(session => session.id === id)?.state === 'LOGGED_IN'
    expect(isLive).toEqual(disks.map(({ sessionId }) => works(sessionId)))
    expect(new Set(isLive)).toEqual(new Set([false, true]))
  })

  test('leave nobody to ask when none works, and that is said at once', async () => {
    const dom0 = createDom0({ multipath: { noPathRetry: 'queue' } })
    await attach(dom0)
    await cutAll(dom0)
    const asked = verifyLun(address, dom0)
    expect(await virtualMs(dom0, asked)).toBeLessThan(1000)
    expect(await rejection(asked)).toMatchObject({
      code: 'NO_PATHS',
      details: { failures: [{ step: expect.stringMatching(/^sd[ab]$/) }, { step: expect.stringMatching(/^sd[ab]$/) }] },
    })
  })
})

test('a LUN number that is used again for another volume is that volume', async () => {
  const dom0 = createDom0()
  const first = await attach(dom0)
  await detachLun(address, dom0)
  await dom0.san.remapLun(target, 0, 'v1')
  const second = await attach(dom0)
  expect(second.wwid).not.toBe(first.wwid)
  expect(await verifyLun(address, dom0)).toMatchObject({ wwid: second.wwid })
  expect(await rejection(verifyLun({ ...address, expected: { wwid: first.wwid ?? '' } }, dom0))).toMatchObject({
    details: { expected: first.wwid, found: second.wwid },
  })
})

test('it takes its time limit and its signal', async () => {
  const dom0 = createSimulatedDom0()
  const reason = new Error('enough')
  expect(await rejection(verifyLun(address, { ...dom0, signal: AbortSignal.abort(reason) }))).toBe(reason)
})
