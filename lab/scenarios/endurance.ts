import { presentLuns, target, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { createRandom, type Random } from '../../test/support/random.ts'
import { installScript } from '../world/install.ts'
import { waitForReadyPaths } from '../world/paths.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { disk } from './disk.ts'

const EVENTS = 20
const EVENTS_OF_PART = 8
const BEATS = 4
const BEAT_MS = 120_000

/** What can happen to a portal. */
const faults = ['cut', 'refuse'] as const
type Fault = (typeof faults)[number]
type EventName = Fault | 'restore' | 'restart'

interface Trouble {
  readonly portal: string
  readonly fault: Fault
}

/** The portals of a SAN, of which one at most is in trouble. */
interface Weather {
  /** Something happens; says what. */
  next(): Promise<{ readonly name: EventName; readonly where: string }>
  /** All is well again. */
  clear(): Promise<void>
}

function createWeather({ san }: World, random: Random): Weather {
  let trouble: Trouble | undefined
  const clear = async (): Promise<void> => {
    if (trouble === undefined) return
    await san.restorePortal(trouble.portal)
    trouble = undefined
  }
  const strike = async (portal: string, fault: Fault): Promise<void> => {
    trouble = { portal, fault }
    await (fault === 'cut' ? san.cutPortal(portal) : san.refusePortal(portal))
  }
  return {
    clear,
    next: async () => {
      if (trouble === undefined) {
        // The other path must carry the load first, or both are dead at once.
        await waitForReadyPaths(2)
        const portal = san.portals[random.below(san.portals.length)] ?? ''
        const fault = faults[random.below(faults.length)] ?? 'cut'
        await strike(portal, fault)
        return { name: fault, where: portal }
      }
      const { portal, fault } = trouble
      if (random.below(3) > 0) {
        await clear()
        return { name: 'restore', where: portal }
      }
      const other = fault === 'cut' ? 'refuse' : 'cut'
      await strike(portal, other)
      return { name: other, where: portal }
    },
  }
}

/** The target ends all sessions, and is back as soon as the host has noticed. */
async function restart(world: World): Promise<void> {
  await world.san.killTarget(target)
  const isNoticed = async (): Promise<boolean> =>
    (await world.snapshot()).sessions.every(({ state }) => state !== 'LOGGED_IN')
  await until('the end of all sessions', isNoticed, { timeoutMs: 60_000 })
  await world.san.startTarget(target)
}

async function pathCuts(world: World): Promise<void> {
  const { guest, seed } = world
  console.log(`     seed ${seed}; LAB_SEED=${seed} repeats it`)
  const random = createRandom(seed)
  const weather = createWeather(world, random)
  const events = world.isPart ? EVENTS_OF_PART : EVENTS
  const restartAt = random.below(events)
  const counts = new Map<EventName, number>()
  await installScript()
  await presentLuns(world, 0)
  await guest.create({ name: 'g1', disks: [disk(world, 'xvda', 0)] })
  await guest.waitForBeat('v0')
  for (let n = 0; n < events; n += 1) {
    const { result, tookMs } = await timed(world, async () => {
      const event = n === restartAt ? await restartOnce(world, weather) : await weather.next()
      await beatsOn(world)
      return event
    })
    counts.set(result.name, (counts.get(result.name) ?? 0) + 1)
    const beat = await guest.beat('v0')
    console.error(
      `LAB: path-cuts: ${n + 1}: ${result.name} ${result.where}: ${(tookMs / 1000).toFixed(1)} s, beat ${beat}`
    )
  }
  await weather.clear()
  await waitForReadyPaths(2)
  await beatsOn(world)
  const failures = guest.console('g1').match(/failed at beat/g)?.length ?? 0
  await guest.destroy('g1')
  await world.expectClean()
  const { beats } = await guest.verifyLog('v0')
  const happened = [...counts].map(([name, count]) => `${count} ${name}`).join(', ')
  console.log(`     ${happened}: ${beats} blocks written, all of them there; the guest repeated ${failures} writes`)
}

async function restartOnce(
  world: World,
  weather: Weather
): Promise<{ readonly name: EventName; readonly where: string }> {
  await weather.clear()
  await waitForReadyPaths(2)
  await restart(world)
  return { name: 'restart', where: target }
}

async function beatsOn({ guest }: World): Promise<void> {
  await guest.waitForBeat('v0', { after: (await guest.beat('v0')) + BEATS, timeoutMs: BEAT_MS })
}

export const enduranceScenarios: readonly Scenario<World>[] = [
  {
    name: 'path-cuts',
    about: `A guest writes through ${EVENTS} random cuts of its paths and a restart of the target; no byte lost`,
    onlyOnDom0: 'it takes a guest, and xl to run it',
    isLong: true,
    timeoutMs: 1_800_000,
    run: pathCuts,
  },
]
