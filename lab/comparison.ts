import type { Scenario } from '../test/scenarios/scenario.ts'
import type { ScenarioResult } from './report.ts'

/** How each scenario ended on the simulated dom0: `ok`, or the error. */
export type Verdicts = Readonly<Record<string, string>>

/** What ran on both sides, side by side. */
export interface Comparison {
  readonly table: string
  /** Names of scenarios that one side passed and the other did not. */
  readonly disagreements: readonly string[]
}

export function compare(
  scenarios: readonly Pick<Scenario, 'name' | 'onlyOnDom0'>[],
  results: readonly ScenarioResult[],
  verdicts: Verdicts
): Comparison {
  const rows = results.map(({ name, ok }) => {
    const onlyOnDom0 = scenarios.find(scenario => scenario.name === name)?.onlyOnDom0
    const verdict = verdicts[name]
    const simulation = verdict === undefined ? '-' : verdict === 'ok' ? 'ok' : 'FAIL'
    const dom0 = ok ? 'ok' : 'FAIL'
    // One that is missing in the simulation without a reason is no agreement.
    const agrees = onlyOnDom0 === undefined ? simulation === dom0 : simulation === '-'
    return { name, simulation, dom0, agrees, note: onlyOnDom0 ?? (agrees ? '' : 'DISAGREE') }
  })
  const title = 'scenario'
  const width = Math.max(title.length, ...rows.map(({ name }) => name.length))
  const line = (name: string, simulation: string, dom0: string, note: string): string =>
    `${name.padEnd(width)}  ${simulation.padEnd(10)}  ${dom0.padEnd(4)}  ${note}`.trimEnd()
  return {
    table: [
      line(title, 'simulation', 'dom0', ''),
      ...rows.map(row => line(row.name, row.simulation, row.dom0, row.note)),
    ].join('\n'),
    disagreements: rows.filter(({ agrees }) => !agrees).map(({ name }) => name),
  }
}
