import { parseArgs } from 'node:util'
import { hostsScenarios } from './hosts/scenarios/index.ts'
import { scenarios as dom0Scenarios } from './scenarios/index.ts'
import { type Choosable, listing, matching, usual } from './selection.ts'

// Which scenarios there are, and which are meant:
//   node list.mjs [--all] [--hosts] [--only NAME]...              for people
//   node list.mjs --names dom0|hosts [--all] [--hosts] [--only NAME]...   names of those that run in one machine, or in three

const { values } = parseArgs({
  options: {
    names: { type: 'string' },
    all: { type: 'boolean', default: false },
    hosts: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
})

const kinds: ReadonlyMap<string, readonly Choosable[]> = new Map<string, readonly Choosable[]>([
  ['dom0', values.hosts ? [] : dom0Scenarios],
  ['hosts', hostsScenarios],
])
const there = [...kinds.values()].flat()

const chosen = (): readonly Choosable[] => {
  if (values.only.length > 0) return values.only.flatMap(wanted => matching(there, wanted))
  if (values.hosts) return hostsScenarios
  return usual(dom0Scenarios, { withLong: values.all })
}

const unknown = values.only.filter(wanted => matching(there, wanted).length === 0)
if (unknown.length > 0) {
  console.error(`lab: no scenario ${unknown.join(', ')}; there are:\n${listing(there)}`)
  process.exit(2)
}
if (values.names === undefined) {
  console.log(listing(values.only.length === 0 ? there : there.filter(scenario => chosen().includes(scenario))))
} else {
  const kind = kinds.get(values.names) ?? []
  for (const { name } of kind.filter(scenario => chosen().includes(scenario))) console.log(name)
}
