import { expect, test } from 'vitest'
import { exploreSeed } from './random/run.ts'
import { KINDS } from './random/world.ts'

/** `npm run explore` runs as many as one likes. */
const SEEDS = 6

const worlds = KINDS.flatMap(kind =>
  [false, true].flatMap(hasKills => [false, true].map(hasFaults => [kind, hasKills, hasFaults] as const))
)

test.each(worlds)(
  '%s, kills %s, faults %s: nothing is lost, nothing is left',
  { timeout: 120_000 },
  async (kind, hasKills, hasFaults) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { problems } = await exploreSeed({ kind, seed, hasKills, hasFaults })
      expect({ seed, problems }).toEqual({ seed, problems: [] })
    }
  }
)
