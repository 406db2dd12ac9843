import assert from 'node:assert/strict'
import { presentLuns, target, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { type Program, startProgram } from '../world/programs.ts'
import { markerOffset, type RoundsJob, type RoundsLine } from '../world/protocol.ts'
import type { World } from '../world/world.ts'

const luns = [0, 1]
/** For each of the two. */
const ROUNDS = 10
const ROUNDS_OF_PART = 4
const START_MS = 60_000
// An attach and a detach, each after one of the other process.
const ROUND_MS = 250_000

type Round = Extract<RoundsLine, { readonly type: 'round' }>

async function concurrent(world: World): Promise<void> {
  const { san } = world
  const wanted = world.isPart ? ROUNDS_OF_PART : ROUNDS
  await presentLuns(world, ...luns)
  const jobs = luns.map(
    (lun): RoundsJob => ({
      request: { target, lun, portals: san.portals, paths: { graceMs: 10_000 } },
      owner: `process ${lun}`,
      rounds: wanted,
      marker: `this is volume v${lun} and no other`,
    })
  )
  for (const [lun, { marker }] of jobs.entries()) await san.writeVolume(`v${lun}`, markerOffset, Buffer.from(marker))
  await using programs = startAll(jobs)
  for (const program of programs.all) assert.deepEqual(await program.next('its start', START_MS), { type: 'ready' })
  const { result, tookMs } = await timed(world, async () => {
    for (const program of programs.all) program.send('go')
    return await Promise.all(programs.all.map(async (program, lun) => await rounds(program, lun)))
  })
  await world.expectClean()
  for (const [lun, played] of result.entries()) assert.equal(played.length, wanted, `rounds of LUN ${lun}`)
  report(result.flat(), tookMs)
}

interface Programs extends AsyncDisposable {
  readonly all: readonly Program<RoundsLine>[]
}

function startAll(jobs: readonly RoundsJob[]): Programs {
  const all = jobs.map(job => startProgram<RoundsLine>('rounds', JSON.stringify(job)))
  return {
    all,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(all.map(async program => await program.kill()))
    },
  }
}

async function rounds(program: Program<RoundsLine>, lun: number): Promise<readonly Round[]> {
  const played: Round[] = []
  for (;;) {
    const line = await program.next(`round ${played.length + 1} of LUN ${lun}`, ROUND_MS)
    if (line === undefined) return played
    assert.ok(line.type === 'round', `LUN ${lun}, round ${played.length + 1}: ${JSON.stringify(line)}`)
    played.push(line)
    if (played.length % 10 === 0) console.error(`LAB: concurrent: LUN ${lun}, round ${played.length}`)
  }
}

function report(played: readonly Round[], tookMs: number): void {
  const mean = (times: readonly number[]): string => {
    const sum = times.reduce((total, ms) => total + ms, 0)
    return `${(sum / times.length / 1000).toFixed(1)} s`
  }
  const shared = played.filter(({ isShared }) => isShared).length
  const attaching = mean(played.map(({ attachMs }) => attachMs))
  const detaching = mean(played.map(({ detachMs }) => detachMs))
  console.log(`     ${played.length} rounds in ${(tookMs / 1000).toFixed(0)} s, ${shared} on sessions that were there`)
  console.log(`     with waiting for each other, attaching took ${attaching}, detaching ${detaching} on average`)
}

export const concurrentScenarios: readonly Scenario<World>[] = [
  {
    name: 'concurrent',
    about: `Two processes attach and detach a LUN each of one target, ${ROUNDS} times each, always the right volume`,
    onlyOnDom0: 'it takes processes; the simulation holds one of two before each of its effects',
    isLong: true,
    timeoutMs: 2_700_000,
    run: concurrent,
  },
]
