import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { createRandom, type Random } from '../../../support/random.ts'

export const vm = 'iqn.2001-05.com.example:vm1'
/** The same array; its LUN 5 is the volume of LUN 0 of {@link vm}. */
const alias = 'iqn.2001-05.com.example:alias'

/** What differs between worlds. */
export const KINDS = ['mapped', 'plain', 'two-targets', 'queueing'] as const
export type Kind = (typeof KINDS)[number]

/** A LUN that operations are about, and what is behind it. */
export interface Place {
  readonly target: string
  readonly lun: number
  readonly volume: string
}

/** One host, and the dice that decide about everything that happens to it. */
export interface RandomWorld {
  readonly kind: Kind
  readonly dom0: SimulatedDom0
  readonly random: Random
  readonly places: readonly Place[]
  /** WWID of each volume. */
  readonly wwids: ReadonlyMap<string, string>
  /** Has `look` called at every step that anybody makes. */
  watch(look: () => void): void
}

const PLACES: readonly Place[] = [
  { target: vm, lun: 0, volume: 'v0' },
  { target: vm, lun: 1, volume: 'v1' },
]
const OTHER: Place = { target: alias, lun: 5, volume: 'v0' }
/** Of a hundred moments at which something could go on, those at which time passes first, and how much at the most. */
const PAUSES = 5
const LONGEST_PAUSE_MS = 400

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)] as T
}

/** Whether something happens that does in `percent` of all cases. */
export function chance(random: Random, percent: number): boolean {
  return random.below(100) < percent
}

export async function createRandomWorld(kind: Kind, seed: number): Promise<RandomWorld> {
  const turns = createRandom(seed ^ 0x5f5f5f)
  let look = (): void => {}
  let isPausing = false
  const pause = async (): Promise<void> => {
    isPausing = true
    // Otherwise time would jump to the next timer, which may be the end of somebody's patience.
    await dom0.host.clock.sleep(turns.below(LONGEST_PAUSE_MS))
    isPausing = false
  }
  const dom0: SimulatedDom0 = createSimulatedDom0({
    policy: ready => {
      look()
      if (isPausing) return undefined
      if (chance(turns, PAUSES)) void pause()
      return turns.below(ready.length)
    },
    ...(kind === 'queueing' && { multipath: { noPathRetry: 'queue' } }),
  })
  const wwids = new Map<string, string>()
  for (const name of ['v0', 'v1']) wwids.set(name, (await dom0.san.addVolume({ name, sizeMiB: 64 })).wwid)
  await dom0.san.addTarget({ iqn: vm, luns: { 0: 'v0', 1: 'v1' } })
  if (kind === 'two-targets') await dom0.san.addTarget({ iqn: alias, luns: { 5: 'v0' } })
  for (const domid of [1, 2]) {
    dom0.xen.addDomain({ domid, name: `guest${domid}`, uuid: `b2c3d4e5-0000-4000-8000-00000000000${domid}` })
  }
  return {
    kind,
    dom0,
    random: createRandom(seed),
    places: kind === 'two-targets' ? [...PLACES, OTHER] : PLACES,
    wwids,
    watch: watcher => {
      look = watcher
    },
  }
}
