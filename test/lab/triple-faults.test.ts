import { expect, test } from 'vitest'
import { despiteTripleFaults } from '../../lab/hosts/triple-faults.ts'

/** Runs a scenario whose attempts end as listed, and says how it went. */
async function runAttempts(...outcomes: readonly ('passes' | 'fails' | 'faults')[]): Promise<readonly string[]> {
  const world = { faults: 0 }
  const did: string[] = []
  const scenario = {
    name: 'move',
    about: '',
    timeoutMs: 1000,
    run: async () => {
      const outcome = outcomes[did.filter(each => each !== 'reset').length] ?? 'passes'
      did.push(outcome)
      if (outcome === 'faults') world.faults += 1
      if (outcome !== 'passes') throw new Error(outcome)
    },
  }
  const repeated = despiteTripleFaults(scenario, {
    count: async () => world.faults,
    reset: async () => void did.push('reset'),
  })
  const error = await repeated.run(world).then(
    () => 'ok',
    (error: unknown) => String(error)
  )
  return [...did, error]
}

test('a scenario whose guest the emulation has ended begins again on clean hosts', async () => {
  expect(await runAttempts('passes')).toEqual(['passes', 'ok'])
  expect(await runAttempts('faults', 'faults', 'passes')).toEqual([
    'faults',
    'reset',
    'faults',
    'reset',
    'passes',
    'ok',
  ])
})

test('what fails for another reason has failed, also after a fault', async () => {
  expect(await runAttempts('fails')).toEqual(['fails', 'Error: fails'])
  expect(await runAttempts('faults', 'fails')).toEqual(['faults', 'reset', 'fails', 'Error: fails'])
})

test('it ends after five attempts', async () => {
  const ran = await runAttempts('faults', 'faults', 'faults', 'faults', 'faults', 'passes')
  expect([ran.filter(each => each === 'faults').length, ran.at(-1)]).toEqual([5, 'Error: faults'])
})
