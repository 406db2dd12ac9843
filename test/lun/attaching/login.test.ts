import { expect, test } from 'vitest'
import {
  type Attachment,
  attachLun,
  completePaths,
  createIscsiadm,
  detachLun,
  type Host,
  iqn,
  portal,
  reconcile,
  releaseOwner,
} from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { until } from '../../../src/flow/until.ts'
import { createDom0, rejection, target } from '../helpers.ts'

const LOGIN = /--login$/

/** The second portal swallows packets for so long from now. */
async function delaySecond({ san, host }: SimulatedDom0, ms: number): Promise<void> {
  const second = String(san.portals[1])
  await san.cutPortal(second)
  void host.clock.sleep(ms).then(async () => {
    await san.restorePortal(second)
  })
}

/** Waits until a login command runs, and a little longer. */
async function untilLogin({ host, started }: SimulatedDom0, count = 1): Promise<void> {
  const look = async (): Promise<boolean> => started.filter(line => LOGIN.test(line)).length >= count
  await until(host.clock, look, { awaited: 'a login', timeoutMs: 30_000, everyMs: 1 })
  await host.clock.sleep(50)
}

/** Another caller who meets the login that an attach left on its way. */
const seconds: Readonly<Record<string, (dom0: SimulatedDom0) => Promise<unknown>>> = {
  'completePaths in this process': async ({ host, san }) => {
    void completePaths({ target, portals: san.portals }, { host, owner: 'vm' }).catch(() => {})
  },
  'completePaths in another process': async dom0 => {
    void completePaths({ target, portals: dom0.san.portals }, { host: dom0.startUser().host, owner: 'vm' }).catch(
      () => {}
    )
  },
  'completePaths that is killed': async dom0 => {
    const user = dom0.startUser()
    void completePaths({ target, portals: dom0.san.portals }, { host: user.host, owner: 'vm' }).catch(() => {})
    await untilLogin(dom0, 2)
    user.kill()
  },
  'attach and detach by another owner': async dom0 => {
    const request = { target, portals: dom0.san.portals, paths: { lateMs: 0 }, sharing: 'allowed' as const }
    const lun = await attachLun(request, { host: dom0.startUser().host, owner: 'backup' })
    await lun.detach()
  },
  'attach and detach of another LUN': async dom0 => {
    const request = { target, lun: 1, portals: dom0.san.portals, paths: { lateMs: 0 } }
    const lun = await attachLun(request, { host: dom0.startUser().host })
    await lun.detach()
  },
}

test.each(
  Object.keys(seconds).flatMap(
    name =>
      [
        [name, 3000, 300],
        [name, 4500, 1000],
      ] as const
  )
)(
  'a login on its way is waited for by the last detach, whoever met it: %s, %i ms, %i ms',
  async (name, slowMs, afterMs) => {
    const dom0 = createDom0()
    await delaySecond(dom0, slowMs)
    const lun = await attachLun(
      { target, portals: dom0.san.portals, paths: { lateMs: 0 } },
      { host: dom0.host, owner: 'vm' }
    )
    expect(lun.isDegraded).toBe(true)
    await seconds[name]?.(dom0)
    await dom0.host.clock.sleep(afterMs)
    expect(await releaseOwner('vm', dom0.startUser())).toMatchObject([{ outcome: 'detached' }])
    await dom0.host.clock.sleep(120_000)
    expect(dom0.leftovers()).toEqual([])
  }
)

test.each(['the same process', 'another process'])(
  'an attach that is aborted during its login fails no other attach of the target, in %s',
  async whose => {
    const dom0 = createDom0({ timing: { loginMs: 1000 } })
    const { portals } = dom0.san
    const reason = new Error('enough')
    const stop = new AbortController()
    const aborted = rejection(attachLun({ target, lun: 1, portals }, { host: dom0.host, signal: stop.signal }))
    await untilLogin(dom0)
    stop.abort(reason)
    const host = whose === 'another process' ? dom0.startUser().host : dom0.host
    const lun = await attachLun({ target, portals }, { host })
    expect(await aborted).toBe(reason)
    expect((await lun.allPaths()).map(({ state }) => state)).toEqual(['up', 'up'])
    await lun.detach()
    expect(dom0.leftovers()).toEqual([])
  }
)

test('where the login of another fails, one is tried of our own', async () => {
  const dom0 = createDom0()
  const [first, second] = dom0.san.portals
  for (const at of [first, second]) await dom0.san.cutPortal(at)
  const reason = new Error('enough')
  const stop = new AbortController()
  const request = { target, portals: dom0.san.portals, loginTimeoutMs: 2000 }
  const aborted = rejection(attachLun({ ...request, lun: 1 }, { host: dom0.startUser().host, signal: stop.signal }))
  await untilLogin(dom0)
  stop.abort(reason)
  void dom0.host.clock.sleep(4000).then(async () => {
    for (const at of [first, second]) await dom0.san.restorePortal(at)
  })
  const lun = await attachLun(request, { host: dom0.startUser().host })
  expect(await aborted).toBe(reason)
  await lun.detach()
  expect(dom0.leftovers()).toEqual([])
})

/** Somebody who uses open-iscsi by hand. */
async function loginByHand(host: Host, at: string): Promise<void> {
  const iscsiadm = createIscsiadm(host)
  await iscsiadm.createRecord({ target: iqn(target), portal: portal(at) })
  await iscsiadm.login({ target: iqn(target) })
}

test.each(['FAILED', 'FREE'])('a session of somebody else that is %s is waited for, and stays theirs', async state => {
  const dom0 = createDom0()
  const [first] = dom0.san.portals
  await loginByHand(dom0.startUser().host, first)
  await dom0.san.killTarget(target)
  await dom0.host.clock.sleep(state === 'FREE' ? 130_000 : 1000)
  expect(dom0.state().sessions).toMatchObject([{ state }])
  void dom0.host.clock.sleep(1500).then(async () => await dom0.san.startTarget(target))
  const lun = await attachLun({ target, portals: [first] }, dom0)
  await lun.detach()
  expect(dom0.state().sessions).toMatchObject([{ state: 'LOGGED_IN' }])
  expect((await reconcile(dom0)).notices).toMatchObject([{ kind: 'foreign-session' }])
})

test('one that does not recover is named, left alone, and not in the journal', async () => {
  const dom0 = createDom0()
  const [first] = dom0.san.portals
  await loginByHand(dom0.startUser().host, first)
  await dom0.san.killTarget(target)
  await dom0.host.clock.sleep(1000)
  expect(await rejection(attachLun({ target, portals: [first] }, dom0))).toMatchObject({
    code: 'ISCSI_SESSION_UNUSABLE',
    message: expect.stringContaining('session 1 with'),
    details: { sid: 1, state: 'failed' },
  })
  expect(dom0.state().sessions).toHaveLength(1)
  expect(dom0.state().journal).toEqual([])
})

test('a login of somebody else that is on its way is waited for, and its session stays theirs', async () => {
  const dom0 = createDom0({ timing: { loginMs: 1000 } })
  const [first] = dom0.san.portals
  const byHand = loginByHand(dom0.startUser().host, first)
  await untilLogin(dom0)
  const lun = await attachLun({ target, portals: [first] }, dom0)
  await byHand
  await lun.detach()
  expect(dom0.state().sessions).toHaveLength(1)
  expect(dom0.state().journal).toEqual([])
})

test('attach beside attach of another LUN: one login for both', async () => {
  const dom0 = createDom0({ timing: { loginMs: 1000 } })
  const inOther = async (lun: number): Promise<Attachment> =>
    await attachLun({ target, lun, portals: dom0.san.portals }, dom0.startUser())
  const [one, other] = await Promise.all([inOther(0), inOther(1)])
  expect([one.isDegraded, other.isDegraded]).toEqual([false, false])
  expect(dom0.started.filter(line => LOGIN.test(line))).toHaveLength(1)
  await detachLun({ target, lun: 0 }, dom0)
  await detachLun({ target, lun: 1 }, dom0)
  expect(dom0.leftovers()).toEqual([])
})
