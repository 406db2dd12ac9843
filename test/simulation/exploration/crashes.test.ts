import { expect, test } from 'vitest'
import { attachLun, cooldown, detachLun, type Host, type LunEvent, prewarm, reconcile, releaseExpired } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { type CrashOutcome, type CrashPlan, exploreCrashes } from './crashes.ts'

const target = 'iqn.2001-05.com.equallogic:0-8a0906-crash'
const dom0 = {
  volumes: [
    { name: 'v0', sizeMiB: 64 },
    { name: 'v1', sizeMiB: 64 },
  ],
  targets: [{ iqn: target, luns: { 0: 'v0', 1: 'v1' } }],
}
const attach = async (host: Host, { san }: SimulatedDom0): Promise<unknown> =>
  await attachLun({ target, portals: san.portals }, { host })
const detach = async (host: Host): Promise<unknown> => await detachLun({ target }, { host })

const both = async (host: Host, world: SimulatedDom0): Promise<unknown> => {
  await attach(host, world)
  return await detach(host)
}
/** Fails, so that what it did is taken back. */
const attachWrong = async (host: Host, { san }: SimulatedDom0): Promise<unknown> =>
  await attachLun({ target, portals: san.portals, expected: { serial: 'another' } }, { host })
const chap = { username: 'dom0', password: 'correct-horse-1' }
const attachWithChap = async (host: Host, { san }: SimulatedDom0): Promise<unknown> => {
  await san.setChap(target, chap)
  return await attachLun({ target, discovery: san.portals[0], chap }, { host })
}
const cut = async (_: Host, { san }: SimulatedDom0): Promise<unknown> => await san.cutPortal(san.portals[1])
const attachOther = async (host: Host, { san }: SimulatedDom0): Promise<unknown> =>
  await attachLun({ target, lun: 1, portals: san.portals }, { host })
const detachBoth = async (host: Host): Promise<unknown> => {
  await detach(host)
  return await detachLun({ target, lun: 1 }, { host })
}

/** Leaves what its owner has: an attach that had come to its end. */
const reconcileAll = async (host: Host): Promise<unknown> => {
  const { failed } = await reconcile({ apply: true, host })
  expect(failed).toEqual([])
  const entry = await host.files.read(`/run/xen-lun/luns/${target},0.json`)
  return entry?.includes('"attached"') === true ? await detach(host) : undefined
}
const reconcileTwice = async (host: Host): Promise<unknown> => {
  await reconcileAll(host)
  const { actions } = await reconcile({ host })
  return expect(actions).toEqual([])
}
const owner = 'backend/vbd/7/51712'
/** For a guest that is destroyed before anybody can call `remove`: xenstore has no such backend. */
const attachForGuest = async (host: Host, { san }: SimulatedDom0): Promise<unknown> =>
  await attachLun({ target, portals: san.portals }, { host, owner })
const reconcileOnly = async (host: Host): Promise<unknown> => {
  const { failed } = await reconcile({ apply: true, host })
  return expect(failed).toEqual([])
}
/** Killed half-way, so that there is something to reconcile. */
const attachAndDie = async (_: Host, world: SimulatedDom0): Promise<unknown> => {
  const user = world.startUser()
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'end' && event.step === 'device') user.kill()
  }
  void attachLun({ target, portals: world.san.portals }, { host: user.host, onEvent })
  return await world.host.clock.sleep(DEATH_MS)
}
const DEATH_MS = 20_000

const TTL_MS = 300_000
const warm = async (host: Host, { san }: SimulatedDom0): Promise<unknown> =>
  await prewarm({ target, portals: san.portals }, { host, owner: 'p', ttlMs: TTL_MS })
const cool = async (host: Host): Promise<unknown> => await cooldown({ target }, { host, owner: 'p' })
const removeForGuest = async (host: Host): Promise<unknown> => await detachLun({ target }, { host, owner })
const addAndRemove = async (host: Host, world: SimulatedDom0): Promise<unknown> => {
  await attachForGuest(host, world)
  return await removeForGuest(host)
}
const letLinger = async (host: Host): Promise<unknown> => await detachLun({ target }, { host, lingerMs: TTL_MS })
const attachAndLetLinger = async (host: Host, world: SimulatedDom0): Promise<unknown> => {
  await attach(host, world)
  return await letLinger(host)
}
const expire = async (host: Host): Promise<unknown> => {
  await host.clock.sleep(TTL_MS)
  const { failed, nextInMs } = await releaseExpired({ host })
  return expect([failed, nextInMs]).toEqual([[], undefined])
}
/** Drafts and locks of the dead are for `reconcile`, sessions are not. */
const expireAll = async (host: Host, world: SimulatedDom0): Promise<unknown> => {
  await expire(host)
  expect(world.state().sessions).toEqual([])
  return await reconcileTwice(host)
}
/** Whatever dies, somebody has the LUN. */
const expectHeld = async (host: Host): Promise<void> => {
  const entry = await host.files.read(`/run/xen-lun/luns/${target},0.json`)
  expect(entry).toContain('"attached"')
}

const plans: Readonly<Record<string, Omit<CrashPlan, 'dom0'>>> = {
  'attach, then detach': { doomed: attach, next: detach },
  'attach, then attach and detach': { doomed: attach, next: both },
  'attach with CHAP by discovery, then detach': { doomed: attachWithChap, next: detach },
  'attach with one portal dead, then detach': { before: cut, doomed: attach, next: detach },
  'attach with one portal dead, then attach and detach': { before: cut, doomed: attach, next: both },
  'attach that fails and is taken back, then detach': { doomed: attachWrong, next: detach },
  'attach that fails and is taken back, then attach and detach': { doomed: attachWrong, next: both },
  'attach beside another LUN, then detach of both': { before: attachOther, doomed: attach, next: detachBoth },
  'attach, then reconcile': { doomed: attach, next: reconcileTwice },
  'attach with one portal dead, then reconcile': { before: cut, doomed: attach, next: reconcileAll },
  'attach with CHAP by discovery, then reconcile': { doomed: attachWithChap, next: reconcileAll },
  'attach that fails and is taken back, then reconcile': { doomed: attachWrong, next: reconcileTwice },
  'attach for a guest that is gone, then reconcile': { doomed: attachForGuest, next: reconcileOnly },
  'detach, then reconcile': { before: attach, doomed: detach, next: reconcileAll },
  'reconcile, then reconcile': { before: attachAndDie, doomed: reconcileOnly, next: reconcileTwice },
  'attach by a second owner, then detach of both': {
    before: attach,
    doomed: attachForGuest,
    next: async host => {
      await detachLun({ target }, { host, owner })
      return await detach(host)
    },
  },
  'prewarm, then cooldown': { doomed: warm, next: cool },
  'prewarm, then add and remove': { doomed: warm, next: addAndRemove },
  'prewarm, then its end': { doomed: warm, next: expireAll },
  'prewarm again, then its end': { before: warm, doomed: warm, next: expireAll },
  'add of a prewarmed LUN, then remove and cooldown': {
    before: warm,
    doomed: attachForGuest,
    next: async host => {
      await expectHeld(host)
      await removeForGuest(host)
      return await cool(host)
    },
  },
  'add of a prewarmed LUN for a guest that is gone, then its end': {
    before: warm,
    doomed: attachForGuest,
    next: async (host, world) => {
      await expectHeld(host)
      await reconcileOnly(host)
      return await expireAll(host, world)
    },
  },
  'cooldown, then cooldown': { before: warm, doomed: cool, next: cool },
  'cooldown, then add and remove': { before: warm, doomed: cool, next: addAndRemove },
  'release of what has expired, then reconcile': {
    before: async (host, world) => {
      await warm(host, world)
      await host.clock.sleep(TTL_MS)
    },
    doomed: async host => await releaseExpired({ host }),
    next: reconcileTwice,
  },
  'detach that lingers, then attach and detach': {
    before: attach,
    doomed: letLinger,
    next: async (host, world) => {
      await expectHeld(host)
      return await both(host, world)
    },
  },
  'detach that lingers, then detach and its end': {
    before: attach,
    doomed: letLinger,
    next: async (host, world) => {
      await letLinger(host)
      return await expireAll(host, world)
    },
  },
  'add of a lingering LUN, then remove and its end': {
    before: attachAndLetLinger,
    doomed: attachForGuest,
    next: async (host, world) => {
      await expectHeld(host)
      await removeForGuest(host)
      return await expireAll(host, world)
    },
  },
  'detach, then detach': { before: attach, doomed: detach, next: detach },
  'detach, then attach and detach': { before: attach, doomed: detach, next: both },
  'detach beside another LUN, then detach of both': {
    before: async (host, world) => {
      await attach(host, world)
      await attachOther(host, world)
    },
    doomed: detach,
    next: detachBoth,
  },
}

const problems = (outcomes: readonly CrashOutcome[]): readonly string[] =>
  outcomes.flatMap(({ moment, call, problem }) => (problem === undefined ? [] : [`${moment} ${call}: ${problem}`]))

test.each(Object.entries(plans))('%s: every crash point converges', { timeout: 60_000 }, async (name, plan) => {
  const outcomes = await exploreCrashes({ ...plan, dom0 })
  console.log(`${name}: ${outcomes.length} crash points`)
  expect(outcomes.length).toBeGreaterThan(10)
  expect(problems(outcomes)).toEqual([])
})
