import {
  type AttachOptions,
  attachLun,
  completePaths,
  cooldown,
  detachLun,
  type Host,
  isLunError,
  prewarm,
  reconcile,
  releaseExpired,
  releaseOwner,
  resizeLun,
  verifyLun,
} from 'xen-lun'
import { addGuestDisk, type GuestDisk } from './guests.ts'
import type { Uses } from './uses.ts'
import { chance, type Place, pick, type RandomWorld } from './world.ts'

/** Who acts: each has names of its own to hold LUNs by, so that nobody lets go of another's. */
export interface Actor {
  readonly name: string
  /** The domain whose disks it makes, as a toolstack. */
  readonly domid: number | undefined
  /** Disks of that domain, by LUN. */
  readonly disks: Map<string, { readonly disk: GuestDisk; readonly place: Place }>
  /** What it has attached for itself, and not begun to detach. */
  readonly places: Set<Place>
}

/** What an operation has to act on, and where it tells what is wrong. */
export interface Stage {
  readonly world: RandomWorld
  readonly uses: Uses
  readonly host: Host
  readonly actor: Actor
  readonly signal: AbortSignal
  readonly complain: (problem: string) => void
}

type Operate = (stage: Stage) => Promise<unknown>

export const HOLD_MS = 120_000
const LINGER_MS = 60_000

export function holdOf(owner: string, { target, lun }: Place): string {
  return `${owner} ${target},${lun}`
}

async function attach(
  { world, host, signal, complain }: Stage,
  place: Place,
  owner: string,
  options: AttachOptions = {}
): Promise<string> {
  const { random, dom0, kind } = world
  const { target, lun, volume } = place
  const multipath = kind === 'plain' ? pick(random, ['never', 'preferred', 'required'] as const) : 'required'
  const request = { target, lun, portals: dom0.san.portals, multipath, paths: { lateMs: random.below(2) * 20_000 } }
  const { device, wwid } = await attachLun(request, { host, owner, signal, ...options })
  if (wwid !== world.wwids.get(volume)) complain(`attach of ${target},${lun} gave volume ${wwid}`)
  return device
}

const attachForDom0: Operate = async stage => {
  const { world, uses, actor } = stage
  const place = pick(world.random, world.places)
  const device = await attach(stage, place, actor.name)
  actor.places.add(place)
  if (chance(world.random, 60)) uses.take(holdOf(actor.name, place), device)
}

const detachForDom0: Operate = async ({ world, uses, host, actor, signal }) => {
  const { random } = world
  const place = pick(random, world.places)
  if (chance(random, 65)) uses.release(holdOf(actor.name, place))
  const how = pick(random, [{}, {}, { lingerMs: LINGER_MS }, { force: true }])
  actor.places.delete(place)
  await detachLun(place, { host, owner: actor.name, signal, ...how })
}

const addForGuest: Operate = async stage => {
  const { world, uses, host, actor } = stage
  if (actor.domid === undefined) return
  const place = pick(world.random, world.places)
  const devid = 51_712 + 16 * world.places.indexOf(place)
  const { disk = addGuestDisk(world, actor.domid, devid) } = actor.disks.get(place.target + place.lun) ?? {}
  actor.disks.set(place.target + place.lun, { disk, place })
  const handOver = disk.handOver(host)
  await attach(stage, place, disk.owner, {
    handOver: async device => {
      await handOver(device)
      if (!disk.isConnected()) uses.serve(holdOf(disk.owner, place), device.device)
      disk.connected()
    },
  })
}

/** As a toolstack does: whatever became of the script's remove, the disk is there until it has succeeded. */
const removeForGuest: Operate = async ({ world, uses, host, actor, signal }) => {
  const [key, found] = pick(world.random, [...actor.disks]) ?? []
  if (key === undefined || found === undefined) return
  const { disk, place } = found
  if (chance(world.random, 80)) {
    disk.disconnect()
    uses.release(holdOf(disk.owner, place))
  }
  if (chance(world.random, 50)) await releaseOwner(disk.owner, { host, signal })
  else await detachLun(place, { host, owner: disk.owner, signal })
  if (disk.isConnected()) return
  disk.remove()
  actor.disks.delete(key)
}

const warm: Operate = async ({ world, host, actor, signal }) => {
  const { target, lun } = pick(world.random, world.places)
  const request = { target, lun, portals: world.dom0.san.portals }
  const warmed = await prewarm(request, { host, owner: `warm ${actor.name}`, ttlMs: HOLD_MS, signal })
  await warmed.stop()
}

const cool: Operate = async ({ world, host, actor, signal }) =>
  await cooldown(pick(world.random, world.places), { host, owner: `warm ${actor.name}`, signal })

const complete: Operate = async ({ world, host, actor, signal }) => {
  const { target, lun } = pick(world.random, world.places)
  const request = { target, lun, portals: world.dom0.san.portals, paths: { lateMs: 10_000 } }
  await completePaths(request, { host, owner: actor.name, signal })
}

const usePath: Operate = async ({ world, uses, actor }) => {
  const place = pick(world.random, [...actor.places])
  if (place !== undefined) uses.takePath(holdOf(actor.name, place), place)
}

/** Operations, and how often each is chosen. */
const OPERATIONS: Readonly<Record<string, readonly [weight: number, operate: Operate]>> = {
  attach: [8, attachForDom0],
  detach: [8, detachForDom0],
  add: [6, addForGuest],
  remove: [6, removeForGuest],
  prewarm: [2, warm],
  cooldown: [2, cool],
  complete: [2, complete],
  verify: [1, async ({ world, host, signal }) => await verifyLun(pick(world.random, world.places), { host, signal })],
  resize: [1, async ({ world, host, signal }) => await resizeLun(pick(world.random, world.places), { host, signal })],
  reconcile: [2, async ({ host, signal }) => await reconcile({ apply: true, host, signal })],
  'release expired': [1, async ({ host, signal }) => await releaseExpired({ host, signal })],
  'use of a path': [2, usePath],
}
const LOTS = Object.entries(OPERATIONS).flatMap(([name, [weight]]) => Array.from({ length: weight }, () => name))

/** Runs one, and says how it ended: `attach: ok`, `detach: LUN_IN_USE`. */
export async function operate(stage: Stage): Promise<string> {
  const name = pick(stage.world.random, LOTS)
  try {
    await OPERATIONS[name]?.[1](stage)
    return `${name}: ok`
  } catch (error) {
    if (error === stage.signal.reason) return `${name}: aborted`
    if (!isLunError(error)) {
      stage.complain(`${name} failed with ${error instanceof Error ? error.stack : String(error)}`)
      return `${name}: no error of ours`
    }
    // No LUN becomes another volume here, and no request is wrong.
    if (['LUN_MISMATCH', 'INVALID_INPUT', 'UNEXPECTED_OUTPUT'].includes(error.code)) {
      stage.complain(`${name} failed with ${error.code}: ${error.message}`)
    }
    return `${name}: ${error.code}`
  }
}
