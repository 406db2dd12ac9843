import assert from 'node:assert/strict'
import { detachLun, reconcile } from 'xen-lun'
import { attach, presentLuns, target, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { listFiles, readText } from '../world/files.ts'
import { type Program, startProgram } from '../world/programs.ts'
import type { AttacherJob, AttacherLine, AttacherStart } from '../world/protocol.ts'
import type { World } from '../world/world.ts'

const owner = 'doomed'
const LINE_MS = 120_000
const RECOVERY_MS = 150_000
const FEWEST_MOMENTS = 12
/** Of a part of them each third. */
const PART = 3

type Attacher = Program<AttacherLine>

function startAttacher({ san }: World): Attacher {
  const job: AttacherJob = { request: { target, lun: 0, portals: san.portals, paths: { graceMs: 10_000 } }, owner }
  return startProgram<AttacherLine>('attacher', JSON.stringify(job))
}

/** Lets it attach, and returns what it tells until it has done so or is dead. */
async function follow(attacher: Attacher, start: AttacherStart): Promise<readonly AttacherLine[]> {
  assert.deepEqual(await attacher.next('its start', LINE_MS), { type: 'ready' })
  attacher.send(start)
  const lines: AttacherLine[] = []
  for (;;) {
    const line = await attacher.next(`what comes after ${JSON.stringify(lines.at(-1))}`, LINE_MS)
    if (line === undefined) return lines
    assert.notEqual(line.type, 'failed', JSON.stringify(line))
    lines.push(line)
    if (line.type === 'attached') return lines
  }
}

function labels(lines: readonly AttacherLine[]): readonly string[] {
  return lines.map(line => (line.type === 'event' ? line.label : line.type))
}

async function detach({ host }: World): Promise<void> {
  const { outcome } = await detachLun({ target, lun: 0 }, { host, owner, timeoutMs: RECOVERY_MS })
  assert.equal(outcome, 'detached')
}

/** What a whole attach tells: the moments at which it can be killed. */
async function recordMoments(world: World): Promise<readonly string[]> {
  await using attacher = startAttacher(world)
  const lines = await follow(attacher, {})
  assert.equal(lines.at(-1)?.type, 'attached')
  await attacher.kill()
  await detach(world)
  await world.expectClean()
  return labels(lines.slice(0, -1))
}

/** Whether the owner's part was done when it died: then it holds the LUN, and only it may let go. */
function isAttached(): boolean {
  return listFiles('/run/xen-lun/luns').some(file => /"state":\s*"attached"/.test(readText(file)))
}

async function recoverByReconciling(world: World): Promise<string> {
  const isHeld = isAttached()
  const { host } = world
  const { isApplied, actions, failed } = await reconcile({ apply: true, host, timeoutMs: RECOVERY_MS })
  assert.deepEqual([isApplied, failed], [true, []])
  if (!isHeld) return `reconciled with ${actions.length} actions`
  assert.equal((await world.snapshot()).maps.length, 1, 'a LUN that is attached stays')
  await detach(world)
  return `found attached, ${actions.length} actions, detached`
}

async function recoverByAttaching(world: World): Promise<string> {
  const { outcome } = await attach(world, {}, { owner, timeoutMs: RECOVERY_MS })
  await detach(world)
  return `${outcome} again and detached`
}

async function killed(world: World): Promise<void> {
  await presentLuns(world, 0)
  const moments = await recordMoments(world)
  assert.ok(moments.length >= FEWEST_MOMENTS, `only ${moments.length} moments: ${moments.join(', ')}`)
  const chosen = [...moments.keys()].filter(n => !world.isPart || n % PART === world.seed % PART)
  const reached = new Set<string>()
  let next = startAttacher(world)
  for (const n of chosen) {
    await using attacher = next
    const doom = await timed(world, async () => await follow(attacher, { lastEvent: n }))
    const { signal } = await attacher.kill()
    assert.equal(signal, 'SIGKILL')
    // "attached", should it have had fewer events than the one that was recorded.
    const moment = labels(doom.result).at(-1) ?? ''
    reached.add(`${doom.result.length} ${moment}`)
    // Starts while this one's traces are removed.
    next = startAttacher(world)
    const recover = n % 2 === 0 ? recoverByReconciling : recoverByAttaching
    const { result, tookMs } = await timed(world, async () => await recover(world))
    await world.expectClean()
    const times = `${seconds(doom.tookMs)} until then, ${seconds(tookMs)} to recover`
    console.error(`LAB: killed after "${moment}" (${n + 1} of ${moments.length}): ${result}; ${times}`)
  }
  await next.kill()
  // An attach tells a little more or less each time.
  assert.ok(reached.size / chosen.length >= FEWEST_MOMENTS / moments.length, [...reached].join(', '))
  console.log(`     killed at ${reached.size} of ${moments.length} moments of an attach; nothing was left of any`)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

export const killScenarios: readonly Scenario<World>[] = [
  {
    name: 'killed',
    about: 'A process is killed at every event of its attach; reconciling, or the next attach, leaves nothing of it',
    onlyOnDom0: 'it kills real processes; the simulation kills at every single effect',
    isLong: true,
    timeoutMs: 1_800_000,
    run: killed,
  },
]
