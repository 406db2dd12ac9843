import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { presentLuns, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { isProgram, type Program, startProgram } from '../world/programs.ts'
import type { TimingJob, TimingLine } from '../world/protocol.ts'
import type { World } from '../world/world.ts'

/** For each of the two. */
const ROUNDS = 10
const START_MS = 60_000
const ROUND_MS = 250_000

type Round = Extract<TimingLine, { readonly type: 'round' }>

interface Side {
  readonly program: Program<TimingLine>
  readonly rounds: Round[]
}

async function start({ san }: World, name: string): Promise<Side> {
  const job: TimingJob = { request: { target, lun: 0, portals: san.portals, paths: { graceMs: 10_000 } }, owner: name }
  const program = startProgram<TimingLine>(name, JSON.stringify(job))
  assert.deepEqual(await program.next('its start', START_MS), { type: 'ready' })
  return { program, rounds: [] }
}

async function playRound({ program, rounds }: Side): Promise<void> {
  program.send('go')
  const line = await program.next(`round ${rounds.length}`, ROUND_MS)
  assert.ok(line?.type === 'round', JSON.stringify(line))
  rounds.push(line)
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2
}

function report(name: string, here: readonly number[], there: readonly number[]): void {
  const [now, before] = [median(here), median(there)]
  const spread = (values: readonly number[]): string =>
    `${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))}`
  const side = (values: readonly number[]): string => `${Math.round(median(values))} ms (${spread(values)})`
  console.log(`     ${name}: here ${side(here)}, there ${side(there)}, ratio ${(now / before).toFixed(3)}`)
}

async function attachTimes(world: World): Promise<void> {
  assert.ok(isProgram('timing-other'), 'LAB_COMPARE must name the checkout to compare with')
  await presentLuns(world, 0)
  const here = await start(world, 'timing')
  await using _here = here.program
  const there = await start(world, 'timing-other')
  await using _there = there.program
  // The first round of each is not counted: the emulator has not seen its code yet.
  for (let round = 0; round <= ROUNDS; round += 1) {
    // Neither always comes second, on whatever the other has left warm.
    for (const side of round % 2 === 0 ? [here, there] : [there, here]) {
      // The locks of older versions, which this one respects where they were at work: that is another measurement.
      if (side === here) await rm('/run/lock/xen-lun', { recursive: true, force: true })
      await playRound(side)
    }
    await world.expectClean()
  }
  const times = (side: Side, of: 'attachMs' | 'detachMs'): readonly number[] =>
    side.rounds.slice(1).map(round => round[of])
  report('attach', times(here, 'attachMs'), times(there, 'attachMs'))
  report('detach', times(here, 'detachMs'), times(there, 'detachMs'))
  const stepsOf = (side: Side): readonly string[] => side.rounds.flatMap(({ stepsMs }) => Object.keys(stepsMs))
  const stepTimes = (side: Side, step: string): readonly number[] =>
    side.rounds.slice(1).map(({ stepsMs }) => stepsMs[step] ?? 0)
  for (const step of new Set([...stepsOf(here), ...stepsOf(there)])) {
    report(`  ${step}`, stepTimes(here, step), stepTimes(there, step))
  }
}

export const attachTimeScenarios: readonly Scenario<World>[] = [
  {
    name: 'attach-times',
    about: `Attaches and detaches ${ROUNDS} times each by this build and by that in LAB_COMPARE; prints medians and their ratio`,
    onlyOnDom0: 'it measures',
    isLong: true,
    isTight: true,
    timeoutMs: 900_000,
    run: attachTimes,
  },
]
