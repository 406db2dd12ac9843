import type { Host } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type SimulationOptions, type Turn } from 'xen-lun/testing'

/** An operation of the library. */
export type Work = (host: Host, dom0: SimulatedDom0) => Promise<unknown>

/** What is killed, what was there before, and what has to put it right. */
export interface CrashPlan {
  readonly dom0: SimulationOptions
  /** Before the process that dies. */
  readonly before?: Work
  /** What it is killed in. */
  readonly doomed: Work
  /** What another process does next. */
  readonly next: Work
}

/** Where a process was killed. `before` a call took effect, or `during` what it had started or asked for. */
export interface CrashPoint {
  readonly moment: 'before' | 'during'
  readonly call: string
}

export interface CrashOutcome extends CrashPoint {
  /** Why this crash point did not end well. */
  readonly problem: string | undefined
}

/** Kills the operation at every single effect it has, once each, and looks whether the next one ends clean. */
export async function exploreCrashes(plan: CrashPlan): Promise<readonly CrashOutcome[]> {
  const outcomes: CrashOutcome[] = []
  for (let n = 0; ; n++) {
    const before = await crashAt(plan, n, 'before')
    if (before === undefined) return outcomes
    outcomes.push(before)
    if (/^(?:run|ask) /.test(before.call)) outcomes.push((await crashAt(plan, n, 'during')) ?? before)
  }
}

async function crashAt(plan: CrashPlan, n: number, moment: CrashPoint['moment']): Promise<CrashOutcome | undefined> {
  let effects = 0
  let point: CrashPoint | undefined
  let onCrash: () => void = () => {}
  const crashed = new Promise<void>(resolve => {
    onCrash = resolve
  })
  let pid: number | undefined
  const strike = ({ process, isEffect, call }: Turn): void => {
    if (process !== pid || !isEffect || effects++ !== n) return
    point = { moment, call }
    const kill = (): void => {
      victim.kill()
      onCrash()
    }
    // By the next immediate the program runs, the question is asked, and neither has ended: time has not moved.
    if (moment === 'before') kill()
    else setImmediate(kill)
  }
  const dom0 = createSimulatedDom0({
    ...plan.dom0,
    policy: ready => {
      const [next] = ready
      if (next !== undefined) strike(next)
      return 0
    },
  })
  await plan.before?.(dom0.host, dom0)
  const victim = dom0.startUser()
  pid = victim.pid
  await Promise.race([crashed, plan.doomed(victim.host, dom0).catch(() => {})])
  if (point === undefined) return undefined
  return { ...point, problem: await problemOf(plan.next, dom0) }
}

async function problemOf(next: Work, dom0: SimulatedDom0): Promise<string | undefined> {
  try {
    await next(dom0.startUser().host, dom0)
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  }
  // What was started before the crash may still come to its end.
  await dom0.host.clock.sleep(SETTLE_MS)
  const left = dom0.leftovers()
  return left.length === 0 ? undefined : `left over: ${left.join('; ')}`
}

const SETTLE_MS = 120_000
