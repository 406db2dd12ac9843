import { findClaims } from '../../block/claims.ts'
import { createInquiry, type Inquiry } from '../../block/inquiry.ts'
import { nameProcesses } from '../../block/processes.ts'
import { readStack, type StackedDevice } from '../../block/stack.ts'
import { findUsers } from '../../block/users.ts'
import { isLunError, LunError } from '../../core/error.ts'
import type { DeviceUser } from '../../core/error-details.ts'
import { withDeadline } from '../../flow/deadline.ts'
import type { Host } from '../../host/host.ts'
import type { LunDescription } from './find-lun.ts'
import { findOpen, findServed } from './looks.ts'

/** The devices of a volume on this host: its map, the LUN's disks, and paths of the map through another target. */
export type VolumeDevices = Pick<LunDescription, 'map' | 'disks' | 'foreignPaths'>

/** Who was found, and what could not be judged. */
export interface Found {
  readonly users: readonly DeviceUser[]
  readonly unknown: readonly string[]
  /** The disks among {@link VolumeDevices} that users have, or a partition of. */
  readonly usedDisks: readonly string[]
  /** The map and its partitions: no flush takes them from a process. */
  readonly flushed: readonly string[]
  /** Which of {@link VolumeDevices} a user's device lies on, or is. */
  readonly baseOf: (device: string) => string
}

/** A look that does not end is given up after this long. */
const LOOK_MS = 5000
/** It opens every disk it watches, and lets go of one that is deleted. */
const MULTIPATHD = /^\d+ multipathd$/

/**
 * Everybody who uses a volume, on whichever of its devices: the map, each path by itself, their partitions, and what is
 * stacked on any of them. A path may have users of its own below its map: LVM, dm-crypt, a guest, a process. Where the map
 * is kept, only those of the LUN's disks themselves.
 */
export async function findVolumeUsers(
  host: Pick<Host, 'files' | 'clock' | 'looks'>,
  volume: VolumeDevices,
  signal: AbortSignal,
  { isMapKept = false }: { readonly isMapKept?: boolean } = {}
): Promise<Found> {
  const { files, clock } = host
  let inquiry: Inquiry | undefined
  let stack: readonly StackedDevice[] = []
  const users: DeviceUser[] = []
  const owed = (): string => inquiry?.open().join(', ') ?? ''
  const look = async (stop: AbortSignal): Promise<void> => {
    inquiry = createInquiry(stop)
    const { map, disks, foreignPaths } = volume
    const own = disks.map(({ name }) => name)
    // A map that nobody saw before is not flushed, so it uses the disks that were found without.
    const maps = map === undefined ? 'user' : isMapKept ? 'left-out' : 'volume'
    const names = map === undefined || isMapKept ? own : [map.dm, ...own, ...foreignPaths]
    stack = await readStack(files, names, { maps })
    const served = (await findServed(host)).map(({ backend }) => backend)
    users.push(...(await findUsers(files, stack, served)))
    users.push(...(await findClaims(files, stack, users, inquiry)))
    const open = await findOpen(host, inquiry)
    const processes = await nameProcesses(files, stack, open)
    users.push(...processes.filter(({ kind, name }) => kind !== 'process' || !MULTIPATHD.test(name)))
  }
  try {
    await withDeadline(clock, { signal, timeoutMs: LOOK_MS, awaited: owed }, look)
  } catch (error) {
    // Whoever was found until then is reason enough.
    if (users.length === 0 && signal.aborted && owed() !== '') throw withOwed(error, owed())
    if (users.length === 0 || !isLunError(error, 'TIMEOUT')) throw error
  }
  return {
    users,
    unknown: inquiry?.open() ?? [],
    usedDisks: disksOf(stack, users),
    flushed: flushedOf(stack, volume),
    baseOf: device => baseOf(stack, device),
  }
}

function baseOf(stack: readonly StackedDevice[], device: string): string {
  const on = stack.find(({ name }) => name === device)?.on
  return on === undefined ? device : baseOf(stack, on)
}

function flushedOf(stack: readonly StackedDevice[], { map }: VolumeDevices): readonly string[] {
  return stack
    .filter(({ name, on, isVolume }) => map !== undefined && isVolume && (name === map.dm || on === map.dm))
    .map(({ name }) => name)
}

function disksOf(stack: readonly StackedDevice[], users: readonly DeviceUser[]): readonly string[] {
  const used = stack.filter(({ name, dm }) => dm === undefined && users.some(({ device }) => device === name))
  return used.map(
    ({ name, on }) => stack.find(disk => disk.name === on && disk.partitions.includes(name))?.name ?? name
  )
}

/** The deadline of a whole operation tells the operation; who owes an answer is known here. */
function withOwed(reason: unknown, owed: string): unknown {
  if (!isLunError(reason, 'TIMEOUT')) return reason
  const { details, message } = reason
  return new LunError(
    'TIMEOUT',
    `${message}: ${owed}`,
    { ...details, awaited: `${details.awaited}: ${owed}` },
    { cause: reason }
  )
}
