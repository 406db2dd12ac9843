import { describe, expect, test } from 'vitest'
import { type ListedAttachment, type Listing, listAttachments } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import {
  attach,
  backendPath,
  createDom0,
  cutAll,
  disk,
  guest,
  killAt,
  startGuest,
  target,
  withoutConnection,
} from './helpers.ts'

const FIRST = '10.0.1.1:3260'
const NOTHING = { session: undefined, hctl: undefined, disk: undefined, device: undefined, checker: undefined }
const SECOND = '10.0.2.1:3260'

/** Lists, which changes nothing and takes no lock. */
async function list(dom0: SimulatedDom0): Promise<Listing> {
  const before = dom0.state()
  const listing = await listAttachments(dom0)
  expect(dom0.state()).toEqual(before)
  expect(JSON.parse(JSON.stringify(listing))).toEqual(JSON.parse(JSON.stringify({ ...listing })))
  return listing
}

function namesOf(owners: ListedAttachment['owners']): unknown {
  return owners === 'unknown' ? owners : owners.map(({ name }) => name)
}

async function only(dom0: SimulatedDom0): Promise<ListedAttachment> {
  const { attachments } = await list(dom0)
  const [first] = attachments
  if (first === undefined || attachments.length !== 1) throw new Error(`there are ${attachments.length}`)
  return first
}

test('nothing is attached, and nobody is asked', async () => {
  const dom0 = createDom0({ faults: { stopped: ['xenstored', 'multipathd'] } })
  const nothing = { attachments: [], unknown: { xenstore: undefined, multipathd: undefined } }
  expect(await list(dom0)).toEqual(nothing)
  expect(dom0.started).toEqual([])
})

test('the disk of a guest, with all there is to know', async () => {
  const dom0 = createDom0()
  const { lun } = await startGuest(dom0)
  const started = dom0.started.length
  const { attachments, unknown } = await list(dom0)
  expect(dom0.started.slice(started)).toEqual([])
  expect(unknown).toEqual({ xenstore: undefined, multipathd: undefined })
  const path = { iface: 'default', state: 'up', session: 'logged-in', device: 'running', checker: 'ready' }
  expect(attachments).toEqual([
    {
      target,
      lun: 0,
      wwid: lun.wwid,
      device: lun.device,
      sizeBytes: 64 << 20,
      map: { name: lun.wwid, dm: 'dm-0', state: 'active', queuesIfNoPath: false },
      owners: [{ name: backendPath, state: 'attached', pid: 1000, isProcessAlive: true, expiresInMs: undefined }],
      guests: [
        {
          backend: backendPath,
          domid: 1,
          vdev: 'xvda',
          isOwner: true,
          domain: { name: guest.name, uuid: guest.uuid },
          status: { state: 'InitWait', hotplugStatus: undefined, hotplugError: undefined },
        },
      ],
      paths: [
        { ...path, portal: FIRST, hctl: expect.stringMatching(/^\d:0:0:0$/), disk: expect.stringMatching(/^sd[ab]$/) },
        { ...path, portal: SECOND, hctl: expect.stringMatching(/^\d:0:0:0$/), disk: expect.stringMatching(/^sd[ab]$/) },
      ],
      pathCount: { up: 2, down: 0, unknown: 0 },
      isBusy: false,
      isStale: false,
    },
  ])
})

describe('paths', () => {
  test('that fail are down, each with what kernel and multipathd say', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.cutPortal(FIRST)
    await dom0.host.clock.sleep(60_000)
    const { paths, pathCount } = await only(dom0)
    expect(pathCount).toEqual({ up: 1, down: 1, unknown: 0 })
    expect(paths.map(({ portal, state, checker }) => [portal, state, checker])).toEqual([
      [FIRST, 'down', 'faulty'],
      [SECOND, 'up', 'ready'],
    ])
  })

  test('that never came are down: they were to be logged in', async () => {
    const dom0 = createDom0({ faults: { portals: { [SECOND]: 'cut' } } })
    await attach(dom0)
    const { paths, pathCount } = await only(dom0)
    expect(pathCount).toEqual({ up: 1, down: 1, unknown: 0 })
    expect(paths[1]).toEqual({ portal: SECOND, iface: 'default', state: 'down', ...NOTHING })
  })

  test('are all down', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await cutAll(dom0)
    expect(await only(dom0)).toMatchObject({ pathCount: { up: 0, down: 2, unknown: 0 }, map: { state: 'active' } })
  })

  test('without multipathd are unknown where the kernel sees nothing wrong, and it is said why', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.cutPortal(FIRST)
    await dom0.host.clock.sleep(60_000)
    await dom0.daemons.multipathd.stop()
    const { attachments, unknown } = await list(dom0)
    expect(unknown).toEqual({ xenstore: undefined, multipathd: expect.stringContaining('multipathd does not run') })
    expect(attachments).toMatchObject([
      {
        pathCount: { up: 0, down: 1, unknown: 1 },
        map: { name: expect.any(String), state: 'unknown', queuesIfNoPath: 'unknown' },
        paths: [
          { state: 'down', checker: 'unknown' },
          { state: 'unknown', checker: 'unknown' },
        ],
      },
    ])
  })
})

describe('guests', () => {
  test.each([
    ['over a connection', (dom0: SimulatedDom0) => dom0],
    ['by commands', withoutConnection],
  ])('are unknown, not gone, while xenstored does not answer %s', async (_, way) => {
    const dom0 = way(createDom0())
    await startGuest(dom0)
    await dom0.daemons.xenstored.stop()
    const { attachments, unknown } = await list(dom0)
    expect(unknown.xenstore).toMatch(/xenstore/)
    expect(attachments).toMatchObject([
      { guests: [{ backend: backendPath, domid: 1, vdev: 'xvda', domain: 'unknown', status: 'unknown' }] },
    ])
  })

  test('that are gone are known to be', async () => {
    const dom0 = createDom0()
    const { backend } = await startGuest(dom0)
    dom0.xen.removeDomain(1)
    expect((await only(dom0)).guests).toMatchObject([{ domain: undefined, status: { state: 'InitWait' } }])
    backend.remove()
    const [gone] = (await only(dom0)).guests
    expect([gone?.backend, gone?.domain, gone?.status]).toEqual([backendPath, undefined, undefined])
  })

  test('that were given the device by hand are found by blkback', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 0, dom0, 'by hand')
    dom0.xen.addDomain(guest)
    dom0.xen.addBackend({ ...disk, device }).connect()
    const { owners, guests } = await only(dom0)
    expect(namesOf(owners)).toEqual(['by hand'])
    expect(guests).toMatchObject([
      { backend: backendPath, isOwner: false, domain: { name: 'guest' }, status: { state: 'Connected' } },
    ])
  })
})

test('several LUNs and owners, in order; one that somebody else attached has no owner', async () => {
  const dom0 = createDom0()
  await attach(dom0, 1)
  await attach(dom0, 0, dom0, 'a')
  await attach(dom0, 0, dom0, 'b')
  const { attachments } = await list(dom0)
  expect(attachments.map(({ lun, owners }) => [lun, namesOf(owners)])).toEqual([
    [0, ['a', 'b']],
    [1, ['default']],
  ])
  for (const name of await dom0.host.files.list('/run/xen-lun/luns')) {
    await dom0.host.files.remove(`/run/xen-lun/luns/${name}`)
  }
  const foreign = (await list(dom0)).attachments
  expect(foreign.map(({ lun, owners, pathCount }) => [lun, owners, pathCount.up])).toEqual([
    [0, [], 2],
    [1, [], 2],
  ])
})

test('an attach that died is there with its dead process, and of another boot it is stale', async () => {
  const dom0 = createDom0()
  await killAt(dom0, /^iscsiadm .*--login/, async ({ host }) => await attach(dom0, 0, { ...dom0, host }))
  expect(await only(dom0)).toMatchObject({
    owners: [{ name: 'default', state: 'attaching', pid: 1001, isProcessAlive: false }],
    isBusy: false,
    isStale: false,
  })
  const path = `/run/xen-lun/luns/${target},0.json`
  const text = (await dom0.host.files.read(path)) ?? ''
  await dom0.host.files.replace(path, text.replace(/"bootId": "[^"]*"/, '"bootId": "another"'), 0o600)
  expect(await only(dom0)).toMatchObject({ isStale: true, owners: [], guests: [], paths: [], isBusy: false })
})

test('somebody at work is seen', async () => {
  const dom0 = createDom0({ timing: { loginMs: 5000 } })
  const attaching = attach(dom0)
  await dom0.host.clock.sleep(2000)
  expect(await only(dom0)).toMatchObject({ isBusy: true, owners: [{ state: 'attaching', isProcessAlive: true }] })
  await attaching
})

test('a LUN that goes meanwhile breaks nothing', async () => {
  const dom0 = createDom0()
  const lun = await attach(dom0)
  await attach(dom0, 1)
  const detaching = lun.detach()
  for (let isOver = false; !isOver; ) {
    isOver = await Promise.race([detaching.then(() => true), dom0.host.clock.sleep(1).then(() => false)])
    const { attachments, unknown } = await listAttachments(dom0)
    expect(attachments.at(-1)).toMatchObject({ lun: 1, pathCount: { up: 2 } })
    expect(unknown).toEqual({ xenstore: undefined, multipathd: undefined })
  }
  expect((await list(dom0)).attachments.map(({ lun: number }) => number)).toEqual([1])
})

test('an abort rejects with its reason', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  const outcome = await listAttachments({ ...dom0, signal: AbortSignal.abort('enough') }).catch(
    (error: unknown) => error
  )
  expect(outcome).toBe('enough')
})
