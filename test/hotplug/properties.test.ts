import fc from 'fast-check'
import { expect, test } from 'vitest'
import { reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { type Act, actsOn } from '../simulation/exploration/acts.ts'
import { exploreCrashes } from '../simulation/exploration/crashes.ts'
import { createDiskWorld, type DiskWorld, diskOptions, plantDisk, run, TARGET, target, WWIDS } from './disk.ts'
import { BLOWS, type Blow, createFaultyHost } from './faulty-host.ts'
import { judgeAdd, judgeRemoval, judgeTime } from './judge.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 100)
const SEED = process.env['FUZZ_SEED']
const BUDGET_MS = 32_000
/** With more runs than usual each call is struck; otherwise each third, another one by each blow. */
const STRIDE = RUNS > 100 ? 1 : 3
const LIVES_ON_MS = 10_000
/** A call that hangs takes all the time there is. */
const HANGING_MS = 4000
const SETTINGS = /^\w+ \/etc(?:\/xen-lun\.json)?$/

/** Has one call of an `add` struck; undefined if there are not so many. */
async function strike(at: number, blow: Blow): Promise<readonly string[] | undefined> {
  const world = createDiskWorld(`${TARGET},wwid=${WWIDS.v0}`)
  const { dom0 } = world
  const budgetMs = blow === 'hangs' ? HANGING_MS : BUDGET_MS
  await dom0.host.files.replace('/etc/xen-lun.json', `{ "timeoutMs": ${budgetMs} }`, 0o644)
  const user = dom0.startUser()
  const stop = new AbortController()
  const faulty = createFaultyHost(user.host, at, blow, () => stop.abort(new Error('ended by SIGTERM')))
  const added = await run(dom0, 'add', { host: faulty.host, signal: stop.signal })
  // The process may serve others, and live on.
  await dom0.host.clock.sleep(LIVES_ON_MS)
  const lateKeys = await judgeAdd(dom0, added, [WWIDS.v0])
  user.kill()
  const call = faulty.struck()
  if (call === undefined) return undefined
  // What hangs before the settings are read leaves the script with the usual time.
  const givenMs = SETTINGS.test(call) ? BUDGET_MS : budgetMs
  const found = [...lateKeys, ...judgeTime(added, givenMs), ...(await judgeRemoval(world))]
  return found.map(complaint => `call ${at}, ${call}, ${blow}: ${complaint}`)
}

test.each(BLOWS)('an add of which one call %s keeps its word', { timeout: 120_000 }, async blow => {
  const found: string[] = []
  let at = BLOWS.indexOf(blow) % STRIDE
  for (; ; at += STRIDE) {
    const complaints = await strike(at, blow)
    if (complaints === undefined) break
    found.push(...complaints)
  }
  console.log(`add that ${blow}: ${at} calls`)
  expect(at).toBeGreaterThan(100)
  expect(found).toEqual([])
})

test('an add that is killed leaves nothing that remove and reconcile do not find', { timeout: 120_000 }, async () => {
  const worlds = new WeakMap<SimulatedDom0, DiskWorld>()
  const outcomes = await exploreCrashes({
    dom0: diskOptions,
    before: async (_, dom0) => worlds.set(dom0, plantDisk(dom0)),
    doomed: async (host, dom0) => await run(dom0, 'add', { host }),
    next: async (host, dom0) => {
      worlds.get(dom0)?.backend.disconnect()
      const { exitCode, log } = await run(dom0, 'remove', { host })
      expect([exitCode, log.at(-1)]).toEqual([0, expect.stringContaining('done')])
      worlds.get(dom0)?.backend.remove()
      expect((await reconcile({ apply: true, host })).failed).toEqual([])
    },
  })
  console.log(`add: ${outcomes.length} crash points`)
  expect(outcomes.length).toBeGreaterThan(50)
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
})

const acts: Readonly<Record<string, Act>> = {
  ...actsOn(target),
  'stop xenstored': async ({ daemons }) => await daemons.xenstored.stop(),
  'start xenstored': async ({ daemons }) => await daemons.xenstored.start(),
}

const moment = fc.integer({ min: 0, max: 3000 })
const plans = fc.record({
  params: fc.constantFrom(TARGET, `${TARGET},wwid=${WWIDS.v0}`, `${TARGET},multipath=n`),
  faults: fc.array(fc.record({ atMs: moment, act: fc.constantFrom(...Object.keys(acts)) }), { maxLength: 5 }),
  spentMs: fc.integer({ min: 0, max: 20_000 }),
  addEndsAtMs: fc.option(moment, { nil: undefined }),
  /** A remove while things are still broken. */
  removeAtMs: fc.option(moment, { nil: undefined }),
  removeEndsAtMs: fc.option(moment, { nil: undefined }),
})

async function repair({ san, daemons }: SimulatedDom0, volume: string): Promise<void> {
  for (const portal of san.portals) await san.restorePortal(portal)
  await san.startTarget(target)
  await san.remapLun(target, 0, volume)
  for (const name of ['iscsid', 'multipathd', 'xenstored'] as const) await daemons[name].start()
}

/** Runs the script in a process of its own that gets SIGTERM after a while. */
async function runUntil(dom0: SimulatedDom0, action: string, endsAtMs: number | undefined, spentMs: number) {
  const user = dom0.startUser()
  const stop = new AbortController()
  const done = new AbortController()
  const ending =
    endsAtMs === undefined
      ? undefined
      : dom0.host.clock.sleep(endsAtMs, done.signal).then(
          () => stop.abort(new Error('ended by SIGTERM')),
          () => {}
        )
  const ended = await run(dom0, action, { host: user.host, signal: stop.signal, spentMs })
  user.kill()
  done.abort()
  await ending
  return ended
}

test('whatever fails meanwhile, add and remove keep their word', { timeout: 120_000 }, async () => {
  const property = fc.asyncProperty(plans, async plan => {
    const world = createDiskWorld(plan.params)
    const { dom0 } = world
    const { clock } = dom0.host
    const faults = plan.faults.map(async ({ atMs, act }) => {
      await clock.sleep(atMs)
      await acts[act]?.(dom0)
    })
    const isSwapped = plan.faults.some(({ act }) => act === 'map another volume')
    const wwids = isSwapped && plan.params !== `${TARGET},wwid=${WWIDS.v0}` ? [WWIDS.v0, WWIDS.v1] : [WWIDS.v0]
    const added = await runUntil(dom0, 'add', plan.addEndsAtMs, plan.spentMs)
    // What it said is there, whether xenstored answers now or not.
    const isStopped = !dom0.daemons.xenstored.isRunning()
    await dom0.daemons.xenstored.start()
    const found = [...(await judgeAdd(dom0, added, wwids)), ...judgeTime(added, BUDGET_MS - plan.spentMs)]
    if (isStopped) await dom0.daemons.xenstored.stop()
    if (plan.removeAtMs !== undefined) {
      await clock.sleep(plan.removeAtMs)
      world.backend.disconnect()
      const removed = await runUntil(dom0, 'remove', plan.removeEndsAtMs, plan.spentMs)
      found.push(...judgeTime(removed, BUDGET_MS - plan.spentMs))
    }
    await Promise.all(faults)
    await repair(dom0, isSwapped ? 'v1' : 'v0')
    // Sessions are made again, paths checked.
    await clock.sleep(60_000)
    expect([...found, ...(await judgeRemoval(world))]).toEqual([])
  })
  await fc.assert(property, { numRuns: RUNS, ...(SEED !== undefined && { seed: Number(SEED) }) })
})
