import { expect, test } from 'vitest'
import { attachLun, cooldown, detachLun, type LunEvent, prewarm, reconcile, releaseExpired } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import type { Work } from './crashes.ts'
import { exploreInterleavings, type InterleavingPlan } from './interleavings.ts'

const target = 'iqn.2001-05.com.equallogic:0-8a0906-two'
const another = 'iqn.2001-05.com.equallogic:0-8a0906-three'
const dom0 = {
  volumes: [
    { name: 'v0', sizeMiB: 64 },
    { name: 'v1', sizeMiB: 64 },
    { name: 'v2', sizeMiB: 64 },
  ],
  targets: [
    { iqn: target, luns: { 0: 'v0', 1: 'v1' } },
    { iqn: another, luns: { 0: 'v2' } },
  ],
}
const attach =
  (lun: number, iqn = target): Work =>
  async (host, { san }) => {
    const { paths } = await attachLun({ target: iqn, lun, portals: san.portals }, { host })
    expect(paths.map(({ state }) => state)).toEqual(['up', 'up'])
  }
const attachInVain =
  (lun: number): Work =>
  async (host, { san }) =>
    await expect(attachLun({ target, lun, portals: san.portals }, { host })).rejects.toThrow(target)
const detach =
  (lun: number, iqn = target): Work =>
  async host =>
    await detachLun({ target: iqn, lun }, { host })
const attachAs =
  (owner: string): Work =>
  async (host, { san }) =>
    await attachLun({ target, portals: san.portals }, { host, owner })
const detachAs =
  (owner: string): Work =>
  async host =>
    await detachLun({ target }, { host, owner })
const reconcileAll: Work = async host => {
  const { failed } = await reconcile({ apply: true, host })
  expect(failed).toEqual([])
}
const dieAttaching: Work = async (_, dom0) => {
  const user = dom0.startUser()
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'end' && event.step === 'device') user.kill()
  }
  void attachLun({ target, portals: dom0.san.portals }, { host: user.host, onEvent })
  await dom0.host.clock.sleep(DEATH_MS)
}
const DEATH_MS = 20_000
const TTL_MS = 300_000
const warm: Work = async (host, { san }) =>
  await prewarm({ target, portals: san.portals }, { host, owner: 'p', ttlMs: TTL_MS })
const cool: Work = async host => await cooldown({ target }, { host, owner: 'p' })
const warmAndWait: Work = async (host, world) => {
  await warm(host, world)
  await host.clock.sleep(TTL_MS)
}
const release: Work = async host => {
  const { failed } = await releaseExpired({ host })
  expect(failed).toEqual([])
}
const letLinger: Work = async host => await detachLun({ target }, { host, lingerMs: TTL_MS })
const guest = 'backend/vbd/7/51712'
/** With an owner of its own, whatever became of the hold. */
const add: Work = async (host, world) => {
  await attachAs(guest)(host, world)
  expect(await host.files.read(`/run/xen-lun/luns/${target},0.json`)).toContain(guest)
  expect(world.state().maps).toHaveLength(1)
}
/** A hold that lingers is left to its end. */
const endHolds: Work = async (host, world) => {
  await cool(host, world)
  await detachAs(guest)(host, world)
  const { nextInMs = 0 } = await releaseExpired({ host })
  await host.clock.sleep(nextInMs)
  await release(host, world)
}
const putAway: Work = async (host, world: SimulatedDom0) => {
  await detachAs('another')(host, world)
  for (const lun of [0, 1]) await detach(lun)(host, world)
  await detach(0, another)(host, world)
}

type Case = Omit<InterleavingPlan, 'dom0' | 'after'> & Partial<Pick<InterleavingPlan, 'after'>>

const holds: Readonly<Record<string, Case>> = {
  'prewarm and prewarm': { both: [warm, warm] },
  'prewarm and add': { both: [warm, add] },
  'add and cooldown': { before: warm, both: [add, cool] },
  'add and release of what has expired': { before: warmAndWait, both: [add, release] },
  'prewarm again and release of what has expired': { before: warmAndWait, both: [warm, release] },
  'release and release of what has expired': { before: warmAndWait, both: [release, release] },
  'detach that lingers and add': { before: attach(0), both: [letLinger, add] },
}

const cases: typeof holds = {
  'attach and attach of one LUN': { both: [attach(0), attach(0)] },
  'attach of one LUN and of another': { both: [attach(0), attach(1)] },
  'attach and detach of one LUN': { before: attach(0), both: [attach(0), detach(0)] },
  'detach of one LUN and attach of another': { before: attach(0), both: [detach(0), attach(1)] },
  'detach of one LUN and of another': {
    before: async (host, world) => {
      await attach(0)(host, world)
      await attach(1)(host, world)
    },
    both: [detach(0), detach(1)],
    // Whoever is last has to put everything away.
    after: async () => {},
  },
  'attach of one LUN and of another, of a target that is dead': {
    before: async (_, { san }) => await san.killTarget(target),
    both: [attachInVain(0), attachInVain(1)],
    after: async () => {},
  },
  'detach and detach of one LUN': { before: attach(0), both: [detach(0), detach(0)] },
  'attach by two owners': { both: [attach(0), attachAs('another')] },
  'detach by one owner and attach by another': { before: attach(0), both: [detach(0), attachAs('another')] },
  'detach by two owners': {
    before: async (host, world) => {
      await attach(0)(host, world)
      await attachAs('another')(host, world)
    },
    both: [detach(0), detachAs('another')],
  },
  'attach and reconcile': { both: [attach(0), reconcileAll] },
  'detach and reconcile': { before: attach(0), both: [detach(0), reconcileAll] },
  'reconcile and reconcile': { before: dieAttaching, both: [reconcileAll, reconcileAll] },
  'attach of two targets': { both: [attach(0), attach(0, another)] },
  'attach of a target and detach of another': { before: attach(0), both: [detach(0), attach(0, another)] },
}

const plans = [
  ...Object.entries(cases).map(([name, plan]) => [name, { after: putAway, ...plan }] as const),
  ...Object.entries(holds).map(([name, plan]) => [name, { after: endHolds, ...plan }] as const),
]

test.each(plans)('%s: every interleaving ends well', { timeout: 60_000 }, async (name, plan) => {
  const found = await exploreInterleavings({ ...plan, dom0 })
  console.log(`${name}: ${found.length} interleavings`)
  expect(found.length).toBeGreaterThan(10)
  expect(found.filter(({ errors, leftovers }) => leftovers.length > 0 || errors.length > 0)).toEqual([])
})
