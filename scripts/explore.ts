import { parseArgs } from 'node:util'
import { exploreSeed } from '../test/simulation/exploration/random/run.ts'
import { KINDS, type Kind } from '../test/simulation/exploration/random/world.ts'

// Random operations of several processes on the simulated dom0: npm run explore -- [--seeds N] [--from N] [--kind NAME]...
// [--kills yes|no] [--faults yes|no]. Without a choice every kind of world is explored with and without kills and faults.
// A seed repeats what it did.

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    kind: { type: 'string', multiple: true },
    kills: { type: 'string' },
    faults: { type: 'string' },
  },
})

const kinds = KINDS.filter(kind => values.kind === undefined || values.kind.includes(kind))
const choices = (word: string | undefined): readonly boolean[] =>
  word === undefined ? [false, true] : [word === 'yes']
const [first, seeds] = [Number(values.from), Number(values.seeds)]
if (!Number.isInteger(first) || !Number.isInteger(seeds) || seeds < 1 || kinds.length === 0) {
  console.error('explore: --seeds and --from take whole numbers, --kind one of', KINDS.join(', '))
  process.exit(2)
}

async function explore(kind: Kind, hasKills: boolean, hasFaults: boolean): Promise<number> {
  const counts = new Map<string, number>()
  let bad = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const run = await exploreSeed({ kind, seed, hasKills, hasFaults })
    for (const [what, times] of run.counts) counts.set(what, (counts.get(what) ?? 0) + times)
    if (run.problems.length === 0) continue
    bad++
    const words = `--kind ${kind} --from ${seed} --seeds 1 --kills ${hasKills ? 'yes' : 'no'} --faults ${hasFaults ? 'yes' : 'no'}`
    console.log([`BAD ${words}`, ...run.problems.map(problem => `  ${problem}`)].join('\n'))
  }
  const told = [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([what, times]) => `${what} ${times}`)
  console.log(`${kind}, kills ${hasKills}, faults ${hasFaults}: ${seeds} seeds, ${bad} bad; ${told.join(', ')}`)
  return bad
}

let bad = 0
for (const kind of kinds) {
  for (const hasKills of choices(values.kills)) {
    for (const hasFaults of choices(values.faults)) bad += await explore(kind, hasKills, hasFaults)
  }
}
console.log(`${bad} bad`)
process.exit(bad === 0 ? 0 : 1)
