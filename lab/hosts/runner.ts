import { writeFile } from 'node:fs/promises'
import { inspect, parseArgs } from 'node:util'
import { compare } from '../comparison.ts'
import { type Report, runScenarios } from '../report.ts'
import { named } from '../selection.ts'
import { type Hosts, withHosts } from './hosts.ts'
import { warmUp } from './prewarm.ts'
import { resetHosts } from './reset.ts'
import { hostsScenarios } from './scenarios/index.ts'

// Boots two Xen hosts and their storage, and runs scenarios on them, from outside:
//   node hosts-runner.mjs --image DIRECTORY --initrd FILE --boot FILE --project DIRECTORY --out DIRECTORY --seconds N NAME...

const text = { type: 'string', default: '' } as const
const { values, positionals } = parseArgs({
  options: { image: text, initrd: text, boot: text, project: text, out: text, seconds: text },
  allowPositionals: true,
})
const selected = named(hostsScenarios, positionals)

const runAll = async (hosts: Hosts): Promise<Report> => {
  const { hosta, hostb, storage } = hosts
  const xenHosts = [hosta, hostb]
  return await runScenarios(
    {
      world: hosts,
      expectClean: async () => {
        for (const { ask } of xenHosts) await ask.expectClean()
      },
      clear: () => storage.ask.reset(),
      reset: () => resetHosts(hosts),
      diagnose: async () => {
        const texts = [...xenHosts, storage].map(
          async ({ name, ask }) => `=== ${name}\n${await ask.diagnose().catch(inspect)}`
        )
        return (await Promise.all(texts)).join('')
      },
    },
    selected
  )
}

const main = async (): Promise<number> => {
  const startedMs = performance.now()
  const { passed, failed, results } = await withHosts({ ...values, seconds: Number(values.seconds) }, async hosts => {
    await warmUp(hosts)
    console.log(`lab: three machines are up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
    return await runAll(hosts)
  })
  await writeFile(`${values.out}/result.json`, `${JSON.stringify({ passed, failed, results }, undefined, 2)}\n`)
  console.log(compare(selected, results, {}).table)
  await writeFile(`${values.out}/counts`, `${passed} ${failed}\n`)
  return failed === 0 && passed > 0 ? 0 : 1
}

// So that the machines end with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.exit(await main())
