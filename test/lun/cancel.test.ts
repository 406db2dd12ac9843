import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, isLunError, type LunOptions, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, target, virtualMs } from './helpers.ts'

type Kind = 'attach' | 'detach'

/** Where the operation is to end early. */
type Strike = { readonly event: number } | { readonly ms: number } | { readonly timeoutMs: number }

interface Plan {
  readonly kind: Kind
  readonly isPortalCut: boolean
  /** How long it may go on after the strike: a login on its way ends by its own timeout of 5 s. */
  readonly endsWithinMs: number
}

interface Run {
  readonly dom0: SimulatedDom0
  readonly error: unknown
  readonly events: number
  readonly tookMs: number
  /** From the strike on; 0 for an operation that was over before. */
  readonly endedMs: number
}

const REASON = new Error('nobody wants it any more')
const EVERY_MS = 100

async function runWith({ kind, isPortalCut }: Plan, strike: Strike | undefined): Promise<Run> {
  const dom0 = createDom0({ timing: { loginMs: 1200, logoutMs: 600 } })
  const { host, san } = dom0
  if (kind === 'detach') await attach(dom0)
  if (isPortalCut) await san.cutPortal(san.portals[1])
  const { clock } = host
  const stop = new AbortController()
  const startedMs = clock.now()
  let [events, struckMs] = [0, Number.POSITIVE_INFINITY]
  const abort = (): void => {
    struckMs = Math.min(struckMs, clock.now())
    stop.abort(REASON)
  }
  const onEvent = (): void => {
    if (strike !== undefined && 'event' in strike && events === strike.event) abort()
    events++
  }
  const limits: LunOptions = strike !== undefined && 'timeoutMs' in strike ? strike : {}
  if ('timeoutMs' in limits) struckMs = startedMs + (limits.timeoutMs ?? 0)
  if (strike !== undefined && 'ms' in strike) void clock.sleep(strike.ms).then(abort)
  const options = { host, signal: stop.signal, onEvent, ...limits }
  const work: Promise<unknown> =
    kind === 'attach' ? attachLun({ target, portals: san.portals }, options) : detachLun(address, options)
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason
  )
  const nowMs = clock.now()
  return { dom0, error, events, tookMs: nowMs - startedMs, endedMs: Math.max(0, nowMs - struckMs) }
}

/** Why this strike did not end well. */
async function problemOf(plan: Plan, strike: Strike): Promise<string | undefined> {
  const { dom0, error, endedMs } = await runWith(plan, strike)
  const where = JSON.stringify(strike)
  if (endedMs > plan.endsWithinMs) return `${where}: it went on for ${endedMs} ms`
  if (!isExpected(plan.kind, strike, error)) return `${where}: it ended with ${String(error)}`
  // An attach has taken back what it did, or said what it could not.
  const isUndone = plan.kind === 'attach' && error !== undefined && !isLunError(error, 'ATTACH_NOT_UNDONE')
  if (isUndone && dom0.leftovers().length > 0) return `${where}: not taken back: ${dom0.leftovers().join('; ')}`
  const { san, host } = dom0
  // A session that cannot be logged out over a dead portal is another test's business.
  for (const portal of san.portals) await san.restorePortal(portal)
  const { failed } = await reconcile({ host, apply: true })
  if (failed.length > 0) return `${where}: reconcile failed with ${JSON.stringify(failed)}`
  await detachLun(address, dom0)
  await host.clock.sleep(120_000)
  const left = dom0.leftovers()
  return left.length === 0 ? undefined : `${where}: left over: ${left.join('; ')}`
}

function isExpected(kind: Kind, strike: Strike, error: unknown): boolean {
  if (error === undefined) return true // it was over already
  if ('timeoutMs' in strike ? isLunError(error, 'TIMEOUT') : error === REASON) return true
  if (kind === 'attach') return isLunError(error, 'ATTACH_NOT_UNDONE') && error.details.steps.length > 0
  return isLunError(error, 'DETACH_INCOMPLETE') && error.details.steps.length > 0
}

const times = (tookMs: number): readonly number[] =>
  Array.from({ length: Math.ceil(tookMs / EVERY_MS) + 1 }, (_, n) => n * EVERY_MS)

describe.each<Plan>([
  { kind: 'attach', isPortalCut: false, endsWithinMs: 5000 },
  { kind: 'attach', isPortalCut: true, endsWithinMs: 12_000 },
  { kind: 'detach', isPortalCut: false, endsWithinMs: 3000 },
])('$kind, a portal cut: $isPortalCut', plan => {
  test.each([
    ['aborted at each event', ({ events }: Run) => Array.from({ length: events }, (_, event) => ({ event }))],
    ['aborted every 100 ms', ({ tookMs }: Run) => times(tookMs).map(ms => ({ ms }))],
    ['out of time every 100 ms', ({ tookMs }: Run) => times(tookMs).map(ms => ({ timeoutMs: Math.max(1, ms) }))],
  ])('%s: it ends, and reconcile and detach leave nothing', { timeout: 60_000 }, async (_, strikesOf) => {
    const whole = await runWith(plan, undefined)
    expect(whole.error).toBeUndefined()
    const strikes: readonly Strike[] = strikesOf(whole)
    expect(strikes.length).toBeGreaterThan(5)
    const problems: string[] = []
    for (const strike of strikes) {
      const problem = await problemOf(plan, strike)
      if (problem !== undefined) problems.push(problem)
    }
    expect(problems).toEqual([])
  })
})

test.each<Kind>(['attach', 'detach'])('%s with a signal that has fired changes nothing', async kind => {
  const dom0 = createDom0()
  if (kind === 'detach') await attach(dom0)
  const before = dom0.state()
  const options = { host: dom0.host, signal: AbortSignal.abort(REASON) }
  const work: Promise<unknown> =
    kind === 'attach' ? attachLun({ target, portals: dom0.san.portals }, options) : detachLun(address, options)
  await expect(work).rejects.toBe(REASON)
  expect(dom0.state()).toEqual(before)
})

test('a path that is there already and does not answer holds up no attach beyond its deadline, nor who comes next', async () => {
  const dom0 = createDom0()
  await attach(dom0, 0, dom0, 'a')
  await dom0.san.setInquiries(dom0.san.portals[1], { takesMs: 300_000 })
  const { host, san } = dom0
  const again = attachLun({ target, portals: san.portals }, { host, owner: 'b', timeoutMs: 15_000 })
  expect(await virtualMs(dom0, again)).toBeLessThan(16_000)
  expect(await virtualMs(dom0, detachLun(address, { host, owner: 'c' }))).toBeLessThan(15_000)
})
