import { expect, test } from 'vitest'
import { attachLun, detachLun, type Host } from 'xen-lun'
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

const plans: Readonly<Record<string, Omit<CrashPlan, 'dom0'>>> = {
  'attach, then detach': { doomed: attach, next: detach },
  'attach, then attach and detach': { doomed: attach, next: both },
  'attach with CHAP by discovery, then detach': { doomed: attachWithChap, next: detach },
  'attach with one portal dead, then detach': { before: cut, doomed: attach, next: detach },
  'attach with one portal dead, then attach and detach': { before: cut, doomed: attach, next: both },
  'attach that fails and is taken back, then detach': { doomed: attachWrong, next: detach },
  'attach that fails and is taken back, then attach and detach': { doomed: attachWrong, next: both },
  'attach beside another LUN, then detach of both': { before: attachOther, doomed: attach, next: detachBoth },
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
