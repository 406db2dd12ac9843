import { describe, expect, test } from 'vitest'
import { attachLun, createIscsiadm, detachLun, type Host, reconcile, type XenstoreConnect } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import {
  address,
  attach,
  backendPath,
  createDom0,
  killAt,
  rejection,
  startGuest,
  target,
  withoutConnection,
} from './helpers.ts'

const LOGIN = /^iscsiadm .*--login/
const LOGOUT = /^iscsiadm .*--logout/

const nothing = { actions: [], notices: [], failed: [] }

/** What a dry run says, after which nothing may be different. */
async function plan(dom0: SimulatedDom0): Promise<readonly string[]> {
  const [before, started, nowMs] = [dom0.state(), dom0.started.length, dom0.host.clock.now()]
  const { isApplied, actions, failed } = await reconcile(dom0)
  expect([isApplied, failed]).toEqual([false, []])
  expect(dom0.state()).toEqual(before)
  const effects = dom0.started.slice(started).filter(line => !/^xenstore-(?:ls|list|read|exists)/.test(line))
  expect(effects).toEqual([])
  expect(dom0.host.clock.now() - nowMs).toBeLessThan(1000)
  return actions.map(({ kind, why }) => `${kind}: ${why}`)
}

/** Does it, and there is no more to be done. */
async function apply(dom0: SimulatedDom0): Promise<void> {
  expect(await reconcile({ ...dom0, apply: true })).toMatchObject({ isApplied: true, failed: [] })
  expect(await reconcile({ ...dom0, apply: true })).toMatchObject({ isApplied: true, ...nothing })
}

test('there is nothing to be done for what is as it should be', async () => {
  const dom0 = createDom0()
  expect(await reconcile(dom0)).toEqual({ isApplied: false, ...nothing })
  await startGuest(dom0)
  await attach(dom0, 1)
  expect(await plan(dom0)).toEqual([])
  const before = dom0.state()
  await apply(dom0)
  expect(dom0.state()).toEqual(before)
})

describe('of a guest that is gone', () => {
  test('the LUN is detached', async () => {
    const dom0 = createDom0()
    const { backend } = await startGuest(dom0)
    backend.remove()
    expect(await plan(dom0)).toEqual([`release: xenstore has no ${backendPath}`])
    await apply(dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('the LUN stays while it is mounted, which is said; other actions are done all the same', async () => {
    const dom0 = createDom0()
    const other = `${target}1`
    await dom0.san.addTarget({ iqn: other, luns: { 0: 'v1' } })
    const { backend, lun } = await startGuest(dom0)
    const request = { target: other, portals: dom0.san.portals }
    await killAt(dom0, LOGIN, async ({ host }) => await attachLun(request, { host }))
    const mounted = dom0.mount(lun.device, '/mnt')
    backend.remove()
    const { actions, failed } = await reconcile({ ...dom0, apply: true })
    expect(actions.map(({ kind }) => kind).toSorted()).toEqual(['release', 'release', 'unlock'])
    expect(failed).toEqual([
      { step: `release LUN 0 of ${target} for ${backendPath}`, message: expect.stringContaining('mount /mnt') },
    ])
    expect(dom0.state().maps).toHaveLength(1)
    expect(new Set(dom0.state().sessions.map(({ iqn }) => iqn))).toEqual(new Set([target]))
    mounted.unmount()
    await apply(dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('the LUN stays for another owner', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'backup')
    const { backend } = await startGuest(dom0)
    backend.remove()
    await apply(dom0)
    expect(dom0.state().maps).toHaveLength(1)
    expect(await detachLun(address, { ...dom0, owner: 'backup' })).toMatchObject({ outcome: 'detached' })
    expect(dom0.leftovers()).toEqual([])
  })

  test('cannot be told from one that lives while xenstored does not answer', async () => {
    const dom0 = createDom0()
    const { backend } = await startGuest(dom0)
    backend.remove()
    await expectRefused(dom0)
    await expectRefused(withoutConnection(dom0))
  })

  test('cannot be told from one that lives when xenstored goes before it has answered', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    const before = dom0.state()
    for (let answered = 0; ; answered++) {
      await dom0.daemons.xenstored.start()
      const { host, hasStopped } = stopAfter(dom0, answered)
      const found = await reconcile({ host, apply: true }).catch((error: unknown) => error)
      expect(dom0.state()).toEqual(before)
      if (!hasStopped()) break
      expect(found).toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
    }
  })
})

/** A host whose xenstored ends when it has answered so many requests. */
function stopAfter({ host, daemons }: SimulatedDom0, answered: number): { host: Host; hasStopped: () => boolean } {
  const { xenstoreConnect: connect } = host
  if (connect === undefined) throw new Error('there is no connection to xenstored')
  let sent = 0
  const xenstoreConnect: XenstoreConnect = async (...args) => {
    const channel = await connect(...args)
    const send = (message: Uint8Array): void => {
      if (sent++ === answered) void daemons.xenstored.stop()
      channel.send(message)
    }
    return { ...channel, send }
  }
  return { host: { ...host, xenstoreConnect }, hasStopped: () => sent > answered }
}

/** Without xenstored nothing is done, and it is said. */
async function expectRefused(dom0: SimulatedDom0): Promise<void> {
  await dom0.daemons.xenstored.stop()
  const before = dom0.state()
  for (const isApplied of [false, true]) {
    expect(await rejection(reconcile({ ...dom0, apply: isApplied }))).toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
  }
  expect(dom0.state()).toEqual(before)
}

test('nor is anything done about a process that is gone while xenstored does not answer', async () => {
  const dom0 = createDom0()
  await killAt(dom0, LOGIN, async ({ host }) => await attach(dom0, 0, { ...dom0, host }))
  await expectRefused(dom0)
})

describe('of a process that was killed', () => {
  test.each([
    ['at once', 0],
    ['when the login is there', 60_000],
  ])('in an attach: the login that comes up later is ended, and its lock removed (%s)', async (_, waitMs) => {
    const dom0 = createDom0({ timing: { loginMs: 8000 } })
    await killAt(dom0, LOGIN, async ({ host }) => await attach(dom0, 0, { ...dom0, host }))
    expect(dom0.state().sessions).toEqual([])
    await dom0.host.clock.sleep(waitMs)
    expect(dom0.state().sessions).toHaveLength(waitMs === 0 ? 0 : 2)
    const found = await plan(dom0)
    expect(found).toContainEqual(expect.stringMatching(/^release: process \d+ died while attaching$/))
    expect(found).toContain('unlock: its process is dead')
    await apply(dom0)
    await dom0.host.clock.sleep(120_000)
    expect(dom0.leftovers()).toEqual([])
    expect(await dom0.host.files.list('/run/xen-lun/locks/luns')).toEqual([])
  })

  test('in a detach, before it had logged out', async () => {
    const dom0 = createDom0({ timing: { logoutMs: 3000 } })
    await attach(dom0)
    await killAt(dom0, LOGOUT, async ({ host }) => await detachLun(address, { host }))
    const found = await plan(dom0)
    expect(found).toContainEqual(
      expect.stringMatching(/^leave: no LUN lives on (?:10\.0\.\d\.1:3260 default(?:, )?){2}$/)
    )
    await apply(dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('after a detach that was refused: the LUN is held as before', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    const mounted = dom0.mount(device, '/mnt')
    const user = dom0.startUser()
    await rejection(detachLun(address, { host: user.host }))
    user.kill()
    mounted.unmount()
    expect(await plan(dom0)).toEqual([])
  })
})

test('what a live process gave up half-way is finished, also what reconcile() itself did not finish', async () => {
  const dom0 = createDom0()
  const { device } = await attach(dom0)
  // By the kernel for itself: no process has a descriptor, so that only the flush finds out.
  const open = dom0.openDevice(device, 2, 'kthreadd')
  for (const name of await dom0.host.files.list('/proc/2/fd')) await dom0.host.files.remove(`/proc/2/fd/${name}`)
  const user = dom0.startUser()
  expect(await rejection(detachLun(address, { host: user.host, timeoutMs: 500 }))).toMatchObject({ code: 'TIMEOUT' })
  expect(await plan(dom0)).toEqual([`release: process ${user.pid} gave up while detaching`])
  expect(await rejection(reconcile({ ...dom0, apply: true, timeoutMs: 500 }))).toMatchObject({ code: 'TIMEOUT' })
  open.close()
  await apply(dom0)
  expect(dom0.leftovers()).toEqual([])
})

test('what a live process has half done is left alone', async () => {
  const dom0 = createDom0({ timing: { loginMs: 3000 } })
  const user = dom0.startUser()
  const attaching = attach(dom0, 0, { ...dom0, host: user.host })
  for (let n = 0; n < 40; n++) {
    const { actions, failed } = await reconcile({ ...dom0, apply: true })
    expect([actions.filter(({ kind }) => kind === 'release'), failed]).toEqual([[], []])
    await dom0.host.clock.sleep(100)
  }
  expect(await attaching).toMatchObject({ outcome: 'attached', isDegraded: false })
  expect(dom0.state().maps[0]?.disks).toHaveLength(2)
})

describe('after a reboot', () => {
  test('of a host whose /run is empty our node records go, and attach works', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    await dom0.reboot()
    expect(await plan(dom0)).toEqual(['leave: no LUN of it is attached'])
    await apply(dom0)
    expect(dom0.state()).toMatchObject({ sessions: [], maps: [], journal: [], records: [] })
    await startGuest(dom0)
  })

  test('an attach takes our node records over, and its detach deletes them', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    await dom0.reboot()
    const lun = await attach(dom0)
    expect(await plan(dom0)).toEqual([])
    await lun.detach()
    expect(dom0.state()).toMatchObject({ sessions: [], maps: [], journal: [], records: [] })
  })

  test('what an earlier boot noted is forgotten, and its node records go', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    const { files } = dom0.host
    const notes = await Promise.all(
      dom0.state().journal.map(async path => [path, (await files.read(path)) ?? ''] as const)
    )
    await dom0.reboot()
    for (const [path, text] of notes) {
      await dom0.host.files.makeDirectory(path.slice(0, path.lastIndexOf('/')), 0o700)
      await dom0.host.files.replace(path, text, 0o600)
    }
    expect(await plan(dom0)).toEqual([
      'forget: the host was booted since it was attached',
      'leave: no LUN of it is attached',
    ])
    await apply(dom0)
    expect(dom0.state()).toMatchObject({ journal: [], records: [] })
  })
})

test('a draft, and an entry that names nobody, are cleared away', async () => {
  const dom0 = createDom0()
  const { files } = dom0.host
  const folder = '/run/xen-lun/luns'
  const boot = (await files.read('/proc/sys/kernel/random/boot_id'))?.trim()
  await files.makeDirectory(folder, 0o700)
  await files.replace(`${folder}/.${target},0.json.draft`, '{', 0o600)
  await files.replace(`${folder}/${target},1.json`, `{"bootId":"${boot}","owners":{}}`, 0o600)
  expect(await plan(dom0)).toEqual(['release: its entry names no owner', 'forget: only a draft of its entry is there'])
  await apply(dom0)
  expect(dom0.leftovers()).toEqual([])
})

describe('it ends', () => {
  test('with the reason of its signal', async () => {
    const reason = new Error('enough')
    expect(await rejection(reconcile({ ...createDom0(), signal: AbortSignal.abort(reason) }))).toBe(reason)
    const dom0 = createDom0({ timing: { loginMs: 8000 } })
    await killAt(dom0, LOGIN, async ({ host }) => await attach(dom0, 0, { ...dom0, host }))
    const stop = new AbortController()
    void dom0.host.clock.sleep(1000).then(() => stop.abort(reason))
    expect(await rejection(reconcile({ ...dom0, apply: true, signal: stop.signal }))).toBe(reason)
    await apply(dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('at its deadline', async () => {
    const dom0 = createDom0({ timing: { loginMs: 8000 } })
    await killAt(dom0, LOGIN, async ({ host }) => await attach(dom0, 0, { ...dom0, host }))
    const startedMs = dom0.host.clock.now()
    expect(await rejection(reconcile({ ...dom0, apply: true, timeoutMs: 1000 }))).toMatchObject({
      code: 'TIMEOUT',
      details: { awaited: 'the reconciliation of this host' },
    })
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(1500)
  })
})

describe('records that an earlier version noted where a boot forgets them', () => {
  const NOTED = `/run/xen-lun/targets/${target}.json`
  const KEPT = `/var/lib/xen-lun/records/${target}.json`

  /** What the version before kept records noted. */
  async function noteFormer({ host: { files } }: SimulatedDom0): Promise<void> {
    const noted = JSON.parse((await files.read(NOTED)) ?? '{}') as object
    const records = ['10.0.1.1:3260 default', '10.0.2.1:3260 default']
    await files.replace(NOTED, JSON.stringify({ ...noted, records }), 0o600)
    await files.remove(KEPT)
  }

  test('are noted for good, and go after a boot', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await noteFormer(dom0)
    const why = 'an earlier version noted where a boot forgets it which node records are ours'
    expect(await plan(dom0)).toEqual([`keep: ${why}`])
    await apply(dom0)
    expect(dom0.state().journal).toContain(KEPT)
    await dom0.reboot()
    await apply(dom0)
    expect(dom0.state()).toMatchObject({ records: [], journal: [] })
  })

  test('go at once where the target is to be left', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await noteFormer(dom0)
    await dom0.host.files.remove(`/run/xen-lun/luns/${target},0.json`)
    for (const { id } of dom0.state().sessions) await createIscsiadm(dom0.host).logoutSession(id)
    const kinds = (await plan(dom0)).map(line => line.replace(/:.*/, ''))
    expect(kinds).toEqual(['leave'])
  })
})
