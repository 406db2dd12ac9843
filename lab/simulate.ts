import { writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { scenarios } from '../test/scenarios/index.ts'
import { createSimulatedWorld } from '../test/simulation/world.ts'

// Runs the shared scenarios on the simulated dom0 and writes a Verdicts file: node simulate.mjs FILE

const verdicts: Record<string, string> = {}
for (const scenario of scenarios) {
  const { name, onlyOnDom0 } = scenario
  if (onlyOnDom0 !== undefined) continue
  const world = createSimulatedWorld()
  try {
    await scenario.run(world)
    await world.expectClean()
    verdicts[name] = 'ok'
  } catch (error) {
    verdicts[name] = inspect(error)
  }
}
const [, , file = ''] = process.argv
await writeFile(file, JSON.stringify(verdicts, undefined, 2))
