import { createSimulatedDom0, type Policy, type SimulatedDom0, type SimulationOptions } from 'xen-lun/testing'
import type { Work } from './crashes.ts'

export interface InterleavingPlan {
  readonly dom0: SimulationOptions
  readonly before?: Work
  /** What runs at the same time. */
  readonly both: readonly [Work, Work]
  /** Puts everything away. */
  readonly after: Work
}

export interface Interleaving {
  /** The call of one process before which the other got ahead as far as it could. */
  readonly heldAt: string | undefined
  /** What the two rejected with. */
  readonly errors: readonly string[]
  readonly leftovers: readonly string[]
}

/** Long enough for the other one to come to its end, or to a lock. */
const HOLD_MS = 3000

/** Runs the two together, once for every call of either that changes something: there it stops while the other goes on. */
export async function exploreInterleavings(plan: InterleavingPlan): Promise<readonly Interleaving[]> {
  const found: Interleaving[] = []
  for (const held of [0, 1]) {
    for (let n = 0; ; n++) {
      const interleaving = await runWith(plan, held, n)
      if (interleaving.heldAt === undefined) break
      found.push(interleaving)
    }
  }
  return found
}

async function runWith(plan: InterleavingPlan, held: number, n: number): Promise<Interleaving> {
  let pid: number | undefined
  let effects = 0
  let heldAt: string | undefined
  let heldUntilMs = 0
  const policy: Policy = ready => {
    const next = ready.findIndex(({ process, isEffect, call }) => {
      if (process !== pid) return true
      if (dom0.host.clock.now() < heldUntilMs) return false
      if (heldAt !== undefined || !isEffect || effects++ !== n) return true
      heldAt = call
      heldUntilMs = dom0.host.clock.now() + HOLD_MS
      return false
    })
    return next < 0 ? undefined : next
  }
  const dom0 = createSimulatedDom0({ ...plan.dom0, policy })
  await plan.before?.(dom0.host, dom0)
  const users = plan.both.map(() => dom0.startUser())
  pid = users[held]?.pid
  // Time must not jump past the end of the hold, to the end of somebody's patience.
  const stop = new AbortController()
  const ticking = tick(dom0, stop.signal)
  const ended = await Promise.allSettled(
    plan.both.map(async (work, m) => await work(users[m]?.host ?? dom0.host, dom0))
  )
  pid = undefined
  stop.abort()
  await ticking
  await plan.after(dom0.host, dom0)
  const errors = ended.flatMap(result => (result.status === 'rejected' ? [String(result.reason)] : []))
  return { heldAt, errors, leftovers: dom0.leftovers() }
}

const TICK_MS = 100

async function tick({ host }: SimulatedDom0, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await host.clock.sleep(TICK_MS)
}
