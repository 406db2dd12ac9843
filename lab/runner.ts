import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Scenario } from '../test/scenarios/scenario.ts'
import { compare, type Verdicts } from './comparison.ts'
import type { Report } from './report.ts'
import { runScenarios } from './report.ts'
import { scenarios } from './scenarios/index.ts'
import { createWorld, type World } from './world/world.ts'

const { values } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
  },
})

const listing = (shown: readonly Scenario<World>[]): string => {
  const width = Math.max(...shown.map(({ name }) => name.length))
  return shown.map(({ name, about, isLong }) => `${name.padEnd(width)}  ${isLong ? '(long) ' : ''}${about}`).join('\n')
}

const matching = (wanted: string): readonly Scenario<World>[] => {
  const exact = scenarios.filter(({ name }) => name === wanted)
  return exact.length > 0 ? exact : scenarios.filter(({ name }) => name.startsWith(wanted))
}

const select = (only: readonly string[]): readonly Scenario<World>[] => {
  if (only.length === 0) return values.all ? scenarios : scenarios.filter(({ isLong }) => isLong !== true)
  const chosen = new Set(only.flatMap(matching))
  return scenarios.filter(scenario => chosen.has(scenario))
}

const seed = (): number => {
  const given = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  if (!Number.isInteger(given)) throw new Error(`no seed: ${values.seed}`)
  return given
}

const runAll = async (selected: readonly Scenario<World>[]): Promise<Report> => {
  const report = await runScenarios(await createWorld({ seed: seed() }), selected)
  await writeFile('/share/result.json', `${JSON.stringify(report, undefined, 2)}\n`)
  return report
}

const main = async (): Promise<number> => {
  const unknown = values.only.filter(wanted => matching(wanted).length === 0)
  if (unknown.length > 0) {
    console.error(`lab: no scenario ${unknown.join(', ')}; there are:\n${listing(scenarios)}`)
    return 2
  }
  const selected = select(values.only)
  if (values.list) {
    console.log(listing(values.only.length === 0 ? scenarios : selected))
    return 0
  }
  const { passed, failed, results } = await runAll(selected)
  const verdicts: Verdicts = JSON.parse(await readFile('/share/simulation.json', 'utf8'))
  const { table, disagreements } = compare(selected, results, verdicts)
  console.log(table)
  for (const name of disagreements) console.log(`lab: ${name} in the simulation: ${verdicts[name] ?? 'not run'}`)
  // One that fails on both sides is counted once, as a failure.
  const bad = failed + disagreements.filter(name => results.find(result => result.name === name)?.ok).length
  console.log(`${passed} passed, ${bad} failed`)
  return bad === 0 && passed > 0 ? 0 : 1
}

// Not just an exit code: a scenario that timed out may still hold the process open.
process.exit(await main())
