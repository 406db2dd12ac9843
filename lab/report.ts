import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Scenario } from '../test/scenarios/scenario.ts'

/** Where scenarios run, and how it is made ready for the next one. */
export interface Stage<W> {
  readonly world: W
  /** Throws an error that lists what is left. */
  expectClean(): Promise<void>
  /** After a scenario that left nothing: takes away what it had to play with. */
  clear(): Promise<void>
  /** After one that failed: the state of the start, by force. */
  reset(): Promise<void>
  /** All that may explain a failure. */
  diagnose(): Promise<string>
}

export interface ScenarioResult {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
  readonly error?: string
}

export interface Report {
  readonly passed: number
  readonly failed: number
  readonly results: readonly ScenarioResult[]
}

// An attach that takes 3 s on an idle machine can take 30 s when others compete for its two processors.
const defaultTimeoutMs = 180_000

const withTimeout = async (work: Promise<void>, timeoutMs: number): Promise<void> => {
  const done = new AbortController()
  const timeout = async (): Promise<never> => {
    await delay(timeoutMs, undefined, { signal: done.signal })
    throw new Error(`not done after ${timeoutMs / 1000} s`)
  }
  try {
    await Promise.race([work, timeout()])
  } finally {
    done.abort()
  }
}

const attempt = async (work: () => Promise<void>): Promise<string | undefined> => {
  try {
    await work()
    return undefined
  } catch (error) {
    return inspect(error)
  }
}

const runScenario = async <W>(stage: Stage<W>, scenario: Scenario<W>): Promise<ScenarioResult> => {
  const { name, timeoutMs = defaultTimeoutMs } = scenario
  console.error(`LAB: scenario ${name}`)
  const start = performance.now()
  const error = await attempt(async () => {
    await withTimeout(scenario.run(stage.world), timeoutMs)
    await stage.expectClean()
  })
  const seconds = Math.round((performance.now() - start) / 100) / 10
  if (error === undefined) {
    console.log(`ok   ${name} (${seconds.toFixed(1)} s)`)
    return { name, ok: true, seconds }
  }
  console.log(`FAIL ${name} (${seconds.toFixed(1)} s): ${error}`)
  console.error(await stage.diagnose().catch(inspect))
  return { name, ok: false, seconds, error }
}

/** Runs all in this order; a failed one is followed by a reset by force, so that it does not spoil the next. */
export const runScenarios = async <W>(stage: Stage<W>, scenarios: readonly Scenario<W>[]): Promise<Report> => {
  const results: ScenarioResult[] = []
  for (const scenario of scenarios) {
    const result = await runScenario(stage, scenario)
    results.push(result)
    const resetError = await attempt(() => (result.ok ? stage.clear() : stage.reset()))
    if (resetError !== undefined) console.log(`lab: the reset after ${scenario.name} failed: ${resetError}`)
  }
  const passed = results.filter(({ ok }) => ok).length
  return { passed, failed: results.length - passed, results }
}
