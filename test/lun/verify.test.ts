import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, type Files, type Host, type VerifiedLun, type VerifiedPath, verifyLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, cutAll, rejection, target, virtualMs } from './helpers.ts'

const MIB = 1 << 20

const byDisk = ({ paths }: VerifiedLun): readonly VerifiedPath[] =>
  paths.toSorted((a, b) => a.disk.localeCompare(b.disk))

const byTruth = (a: boolean, b: boolean): number => Number(a) - Number(b)

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

describe('a path is live only if it has answered:', () => {
  const live = async (dom0: SimulatedDom0): Promise<readonly boolean[]> =>
    byDisk(await verifyLun(address, dom0)).map(path => path.isLive)

  test.each([{}, { isWaiting: true }])('not when its portal was cut a moment ago: %j', async behaviour => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.setInquiries(dom0.san.portals[1], behaviour)
    await dom0.san.cutPortal(dom0.san.portals[1])
    expect(dom0.state().sessions.map(({ state }) => state)).toEqual(['LOGGED_IN', 'LOGGED_IN'])
    const portals = new Map(dom0.state().sessions.map(({ id, portal }) => [id, portal]))
    const cut = dom0.state().disks.map(({ sessionId }) => portals.get(sessionId) === dom0.san.portals[1])
    expect(await live(dom0)).toEqual(cut.map(isCut => !isCut))
  })

  test('not when its inquiry fails', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.setInquiries(dom0.san.portals[1], { isFailing: true })
    expect((await live(dom0)).toSorted(byTruth)).toEqual([false, true])
  })

  test('no longer than an answer may take', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.setInquiries(dom0.san.portals[1], { takesMs: 60_000 })
    const asked = live(dom0)
    expect(await virtualMs(dom0, asked)).toBeLessThan(12_000)
    expect((await asked).toSorted(byTruth)).toEqual([false, true])
  })

  test('not when the array knows no such LUN any more', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.unmapLun(target, 0)
    expect(await rejection(verifyLun(address, dom0))).toMatchObject({ code: 'NO_PATHS' })
    expect(await rejection(attach(dom0))).toMatchObject({ code: expect.stringMatching(/^NO_PATHS|DEVICE_UNREADABLE$/) })
  })
})

test('a path of the map whose device is just going away is no other volume', async () => {
  const dom0 = createDom0()
  const { map, wwid } = await attach(dom0)
  const { files } = dom0.host
  const list: Files['list'] = async path =>
    path === `/sys/block/${map?.dm}/slaves` ? [...(await files.list(path)), 'sdz'] : await files.list(path)
  const host = { ...dom0.host, files: { ...files, list } }
  expect(await verifyLun(address, { host })).toMatchObject({ wwid })
})

test('a path that says nothing of who it is does not work, and is no other volume', async () => {
  const dom0 = createDom0()
  const { wwid } = await attach(dom0)
  const { files } = dom0.host
  const [, silent] = await files.list('/sys/class/scsi_device')
  const read: Files['read'] = async path =>
    path.endsWith(`/${silent}/device/wwid`) ? undefined : await files.read(path)
  const host = { ...dom0.host, files: { ...files, read } }
  const verified = await verifyLun(address, { host })
  expect(verified.wwid).toBe(wwid)
  expect(verified.paths.map(({ isLive }) => isLive).toSorted(byTruth)).toEqual([false, true])
})

describe('the read test', () => {
  const reading = (dom0: SimulatedDom0, readAt: Files['readAt']): { readonly host: Host } => ({
    host: { ...dom0.host, files: { ...dom0.host.files, readAt } },
  })

  test('reads past what the kernel keeps', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    dom0.openDevice(device)
    const reads: unknown[] = []
    const readAt: Files['readAt'] = async (path, offset, length, options) => {
      if (path === device) reads.push([offset % 4096, length % 4096, options?.isDirect])
      return await dom0.host.files.readAt(path, offset, length, options)
    }
    await verifyLun(address, reading(dom0, readAt))
    expect(reads).toEqual([
      [0, 0, true],
      [0, 0, true],
    ])
  })

  test.each([
    ['EINVAL', true],
    ['EIO', false],
  ] as const)('takes %s of such a read for unreadable only if it is', async (code, isReadable) => {
    const dom0 = createDom0()
    await attach(dom0)
    const readAt: Files['readAt'] = async (path, offset, length, options) => {
      if (options?.isDirect === true) throw Object.assign(new Error(code), { code })
      return await dom0.host.files.readAt(path, offset, length, options)
    }
    const verified = verifyLun(address, reading(dom0, readAt))
    if (isReadable) expect(await verified).toMatchObject({ lun: 0 })
    else expect(await rejection(verified)).toMatchObject({ code: 'DEVICE_UNREADABLE' })
  })
})

test('a LUN that is read-only says so', async () => {
  const dom0 = createDom0({
    volumes: [
      { name: 'v0', sizeMiB: 64, isReadOnly: true },
      { name: 'v1', sizeMiB: 64 },
    ],
  })
  expect([(await attach(dom0, 0)).isReadOnly, (await attach(dom0, 1)).isReadOnly]).toEqual([true, false])
  expect([(await verifyLun(address, dom0)).isReadOnly, (await verifyLun({ target, lun: 1 }, dom0)).isReadOnly]).toEqual(
    [true, false]
  )
})

test('it takes its time limit and its signal', async () => {
  const dom0 = createSimulatedDom0()
  const reason = new Error('enough')
  expect(await rejection(verifyLun(address, { ...dom0, signal: AbortSignal.abort(reason) }))).toBe(reason)
})
