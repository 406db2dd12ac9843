import { detachLun, type Host, reconcile, releaseExpired } from 'xen-lun'
import { actsOn } from '../acts.ts'
import { type Actor, HOLD_MS, operate, type Stage } from './operations.ts'
import { createUses } from './uses.ts'
import { chance, createRandomWorld, type Kind, pick, type RandomWorld, vm } from './world.ts'

/** What happens besides operations. */
export interface RandomOptions {
  readonly kind: Kind
  readonly seed: number
  /** Processes are killed in the middle of what they do. */
  readonly hasKills: boolean
  /** Portals, daemons and the target fail and come back. */
  readonly hasFaults: boolean
}

/** How one run went. */
export interface RandomRun {
  /** What is not as promised; nothing, if all is well. */
  readonly problems: readonly string[]
  /** How often what happened: `attach: ok`, `kill`, `use: swap`. */
  readonly counts: ReadonlyMap<string, number>
}

const OPERATIONS_EACH = 10
const LONGEST_MS = 4 * 3_600_000
const SETTLE_MS = 180_000
const FAULTS = [
  'cut portal 1',
  'cut portal 2',
  'refuse portal 1',
  'refuse portal 2',
  'restore portal 1',
  'restore portal 2',
  'restore portal 1',
  'restore portal 2',
  'stop multipathd',
  'start multipathd',
  'stop iscsid',
  'start iscsid',
  'kill the target',
  'start the target',
]

/** Three processes do what the seed says; then all is repaired and put away, and nothing may be lost or left. */
export async function exploreSeed(options: RandomOptions): Promise<RandomRun> {
  const world = await createRandomWorld(options.kind, options.seed)
  const uses = createUses(world)
  const problems: string[] = []
  const counts = new Map<string, number>()
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1)
  const complain = (problem: string): void => void problems.push(problem)
  const { dom0 } = world
  world.watch(() => uses.look())
  const actors = [1, 2, undefined].map(
    (domid, n): Actor => ({ name: `actor ${n + 1}`, domid, disks: new Map(), places: new Set() })
  )
  const story = async (): Promise<void> => {
    const isOver = new AbortController()
    const faults = options.hasFaults ? breakThings(world, isOver.signal, count) : undefined
    await Promise.all(actors.map(async actor => await act({ world, uses, actor, complain }, options.hasKills, count)))
    isOver.abort()
    await faults
    await repair(world)
    await dom0.host.clock.sleep(SETTLE_MS)
    uses.releaseAll()
    await putAway(world, actors, complain, options.hasKills)
    await dom0.host.clock.sleep(SETTLE_MS)
    for (const left of dom0.leftovers()) complain(`left over: ${left}`)
  }
  const tooLong = async (): Promise<void> => {
    await dom0.host.clock.sleep(LONGEST_MS)
    complain('it does not come to an end')
  }
  await Promise.race([story(), tooLong()])
  for (const [kind, times] of uses.counts) counts.set(`use: ${kind}`, times)
  return { problems: [...uses.lost.map(what => `lost: ${what}`), ...problems], counts }
}

type ActorStage = Omit<Stage, 'host' | 'signal'>

async function act(stage: ActorStage, hasKills: boolean, count: (what: string) => void): Promise<void> {
  const { dom0, random } = stage.world
  let user = dom0.startUser()
  for (let n = 0; n < OPERATIONS_EACH; n++) {
    const stop = new AbortController()
    const work = operate({ ...stage, host: user.host, signal: stop.signal }).then(count)
    const isKilled = hasKills && chance(random, 15)
    const isAborted = chance(random, 8)
    if (isKilled || isAborted) await dom0.host.clock.sleep(random.below(3000))
    if (isKilled) {
      user.kill()
      // Whatever it was in the middle of may have come to its end.
      stage.actor.places.clear()
      user = dom0.startUser()
      count('kill')
      continue
    }
    if (isAborted) stop.abort(new Error('enough'))
    await work
    if (chance(random, 30)) await dom0.host.clock.sleep(random.below(10_000))
  }
}

async function breakThings(world: RandomWorld, signal: AbortSignal, count: (what: string) => void): Promise<void> {
  const { dom0, random } = world
  const acts = actsOn(vm)
  while (!signal.aborted) {
    await dom0.host.clock.sleep(500 + random.below(15_000))
    if (signal.aborted) return
    await acts[pick(random, FAULTS)]?.(dom0)
    count('fault')
  }
}

async function repair({ dom0: { san, daemons } }: RandomWorld): Promise<void> {
  for (const portal of san.portals) await san.restorePortal(portal)
  await san.startTarget(vm)
  await daemons.iscsid.start()
  await daemons.multipathd.start()
}

/** As a host is put away: guests' disks, then everybody's holds; what the dead have left is for `reconcile`. */
async function putAway(
  { dom0, places }: RandomWorld,
  actors: readonly Actor[],
  complain: (problem: string) => void,
  hasKills: boolean
): Promise<void> {
  const { host } = dom0
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => complain(`putting away, ${what}: ${String(error)}`))
  }
  for (const { disks } of actors) {
    for (const { disk, place } of disks.values()) {
      disk.disconnect()
      await attempt(`remove ${disk.owner}`, async () => await detachLun(place, { host, owner: disk.owner }))
      disk.remove()
    }
  }
  for (const { name } of actors) {
    for (const place of places) {
      await attempt(`detach ${name}`, async () => await detachLun(place, { host, owner: name }))
    }
  }
  await host.clock.sleep(HOLD_MS)
  await attempt('release of what has expired', async () => await expectNoFailure(host))
  if (!hasKills) return
  await attempt('reconcile', async () => {
    const { failed } = await reconcile({ apply: true, host })
    if (failed.length > 0) throw new Error(JSON.stringify(failed))
  })
}

async function expectNoFailure(host: Host): Promise<void> {
  const { failed } = await releaseExpired({ host })
  if (failed.length > 0) throw new Error(JSON.stringify(failed))
}
