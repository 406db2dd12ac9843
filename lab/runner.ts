import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { compare, type Verdicts } from './comparison.ts'
import { type Report, runScenarios } from './report.ts'
import { scenarios } from './scenarios/index.ts'
import { named } from './selection.ts'
import { diagnose } from './world/diagnosis.ts'
import { resetHost } from './world/reset.ts'
import { createWorld } from './world/world.ts'

// Runs scenarios in dom0: node runner.mjs [--seed N] [--part] NAME...

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' }, part: { type: 'boolean' } },
  allowPositionals: true,
})
const selected = named(scenarios, positionals)

const seed = (): number => {
  const given = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  if (!Number.isInteger(given)) throw new Error(`no seed: ${values.seed}`)
  return given
}

const runAll = async (): Promise<Report> => {
  const world = await createWorld({ seed: seed(), isPart: values.part === true })
  const stage = {
    world,
    expectClean: () => world.expectClean(),
    clear: () => world.san.reset(),
    reset: () => resetHost(world),
    diagnose: () => diagnose(world),
  }
  const report = await runScenarios(stage, selected)
  await writeFile('/share/result.json', `${JSON.stringify(report, undefined, 2)}\n`)
  return report
}

const main = async (): Promise<number> => {
  const { passed, failed, results } = await runAll()
  const verdicts: Verdicts = JSON.parse(await readFile('/share/simulation.json', 'utf8'))
  const { table, disagreements } = compare(selected, results, verdicts)
  console.log(table)
  for (const name of disagreements) console.log(`lab: ${name} in the simulation: ${verdicts[name] ?? 'not run'}`)
  // One that fails on both sides is counted once, as a failure.
  const bad = failed + disagreements.filter(name => results.find(result => result.name === name)?.ok).length
  await writeFile('/share/counts', `${passed} ${bad}\n`)
  return bad === 0 && passed > 0 ? 0 : 1
}

// Not just an exit code: a scenario that timed out may still hold the process open.
process.exit(await main())
