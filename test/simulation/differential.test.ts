import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createRecordingExecutor, parseCassette, type Recording } from 'xen-lun/testing'
import { tellStory } from '../takes/story.ts'
import { createTools, outcomeOf } from '../takes/take.ts'
import { createSimulatedWorld } from './world.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/recorded/${name}`, import.meta.url), 'utf8')
const manual = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8')

/** What docs/testing.md explains: `| take | field | reason |`. */
const explained = new Map(
  [...manual.matchAll(/^\| `([^`]+)` \| (exit code|stdout|stderr|outcome|commands|state) \| (.+) \|$/gm)].map(
    ([, take, field, reason]) => [`${take} ${field}`, reason]
  )
)

/** Every field in which the simulation differs from what the real tools were recorded to answer. */
async function differences(): Promise<readonly { readonly field: string; readonly what: readonly string[] }[]> {
  const found: { field: string; what: readonly string[] }[] = []
  const world = createSimulatedWorld()
  await tellStory(world, async takes => {
    for (const take of takes) {
      const executor = createRecordingExecutor(world.host.executor)
      const outcome = await outcomeOf(take, createTools({ ...world.host, executor }))
      const real = parseCassette(recorded(`${take.name}.txt`))
      const note = (field: string, theirs: unknown, ours: unknown): void => {
        if (theirs !== ours) found.push({ field: `${take.name} ${field}`, what: linesApart(theirs, ours) })
      }
      note('commands', commandsOf(real), commandsOf(executor.recordings))
      note('outcome', recorded(`${take.name}.json`), outcome)
      note('state', recorded(`${take.name}.state.json`), `${JSON.stringify(await world.snapshot(), undefined, 2)}\n`)
      for (const [n, ours] of executor.recordings.entries()) {
        const theirs = real[n]
        note('exit code', theirs?.exitCode, ours.exitCode)
        note('stdout', sorted(theirs?.stdout), sorted(ours.stdout))
        note('stderr', sorted(theirs?.stderr), sorted(ours.stderr))
      }
    }
  })
  return found
}

/** Only what differs, line by line. */
function linesApart(theirs: unknown, ours: unknown): readonly string[] {
  const [real, simulated] = [String(theirs).split('\n'), String(ours).split('\n')]
  return [
    ...real.filter(line => !simulated.includes(line)).map(line => `real: ${line}`),
    ...simulated.filter(line => !real.includes(line)).map(line => `simulated: ${line}`),
  ]
}

const commandsOf = (recordings: readonly Recording[]): string => recordings.map(({ command }) => command).join('\n')
/** Portals answer in any order. */
const sorted = (text: string | undefined): string | undefined => text?.split('\n').toSorted().join('\n')

test('the simulation answers as the real tools were recorded to, but for what docs/testing.md explains', async () => {
  const found = await differences()
  expect(found.filter(({ field }) => !explained.has(field))).toEqual([])
  const fields = new Set(found.map(({ field }) => field))
  expect(
    [...explained.keys()].filter(field => !fields.has(field)),
    'explained, but no longer different'
  ).toEqual([])
})
