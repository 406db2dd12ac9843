import { isLunError, LunError } from '../../core/error.ts'
import type { DeviceUser } from '../../core/error-details.ts'
import { printable } from '../../core/printable.ts'
import { until } from '../../flow/until.ts'
import { thisProcess } from '../../host/process-id.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import { isOfUdev, servedBy } from './user-process.ts'
import { type Found, findVolumeUsers, type VolumeDevices } from './users.ts'

type Place = Pick<Operation, 'signal' | 'target' | 'lun'>

export interface UnusedOptions {
  /** How long a device may stay busy with what is ending by itself. */
  readonly busyMs: number
  /**
   * The map is flushed next, which no process with the map open lets happen: that is decided there. A process that serves
   * a guest is decided about here.
   */
  readonly isFlushed?: boolean
  /** The map stays, with paths through another target, so that its users do not matter. */
  readonly isMapKept?: boolean
  /** Who may use it all the same, by the device of the volume on which he does. */
  readonly isAllowed?: (user: DeviceUser, base: string) => Promise<boolean>
  /** A process gets `busyMs` as well: programs of udev's rules read what is new. */
  readonly isNew?: boolean
}

/**
 * Refuses while somebody uses one of the volume's devices. Mounts, swap, holders, connected guests and processes are
 * final at once. What is letting go by itself gets `busyMs`: a Xen backend that is closing, since toolstacks call `remove`
 * before blkback is done; udev, which reads a device after each writer; whoever has it for himself without a name, as
 * another look like this one does for a moment; and other work of this very process.
 *
 * Answers the disks that somebody used meanwhile, so that they may have to be written.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user, `TIMEOUT` naming what could not be judged: that is not unused
 */
export async function assertUnused(
  context: Context,
  place: Place,
  volume: VolumeDevices,
  { busyMs, isFlushed = false, isMapKept = false, isAllowed = nobody, isNew = false }: UnusedOptions
): Promise<readonly string[]> {
  const { host } = context
  let found: Pick<Found, 'users' | 'unknown'> = { users: [], unknown: [] }
  const used = new Set<string>()
  const look = async (): Promise<boolean> => {
    const { users, unknown, usedDisks, flushed, baseOf } = await findVolumeUsers(host, volume, place.signal, {
      isMapKept,
    })
    for (const disk of usedDisks) used.add(disk)
    const isLeftToFlush = async (user: DeviceUser): Promise<boolean> =>
      isFlushed &&
      user.kind === 'process' &&
      flushed.includes(user.device) &&
      (await servedBy(host.files, user)) === undefined
    const ignored = await Promise.all(
      users.map(async user => (await isAllowed(user, baseOf(user.device))) || (await isLeftToFlush(user)))
    )
    found = { users: users.filter((_, n) => ignored[n] !== true), unknown }
    const final = isNew ? found.users.filter(({ kind }) => kind !== 'process') : found.users
    if (await isAnyFinal(context, final)) throw await inUse(context, place, found.users)
    return found.users.length === 0 && found.unknown.length === 0
  }
  try {
    await until(host.clock, look, { awaited: 'the device to be closed', timeoutMs: busyMs, signal: place.signal })
  } catch (error) {
    if (!isLunError(error, 'TIMEOUT')) throw error
    if (found.users.length > 0) throw await inUse(context, place, found.users)
    throw found.unknown.length > 0 ? notJudged(place, found.unknown, busyMs) : error
  }
  return [...used]
}

async function nobody(): Promise<boolean> {
  return false
}

/** The error for a device that is busy, if somebody is found who will not let go of it by himself. */
export async function findFinalUser(
  context: Context,
  place: Place,
  volume: VolumeDevices
): Promise<LunError<'LUN_IN_USE'> | undefined> {
  const { users } = await findVolumeUsers(context.host, volume, place.signal)
  return (await isAnyFinal(context, users)) ? await inUse(context, place, users) : undefined
}

/** The error for a device that stayed busy, whoever that was. */
export async function describeBusy(
  context: Context,
  place: Place,
  volume: VolumeDevices
): Promise<LunError<'LUN_IN_USE'>> {
  const { users } = await findVolumeUsers(context.host, volume, place.signal)
  const unknown: DeviceUser = {
    kind: 'open',
    device: volume.map?.dm ?? volume.disks[0]?.name ?? '?',
    name: 'opened by the kernel or in another namespace',
  }
  return await inUse(context, place, users.length > 0 ? users : [unknown])
}

async function isAnyFinal({ host }: Context, users: readonly DeviceUser[]): Promise<boolean> {
  if (users.length === 0) return false
  const { pid } = await thisProcess(host.files)
  const final = await Promise.all(
    users.map(async user => {
      const { kind, state, name } = user
      if (kind === 'open') return false
      if (kind === 'process') return !name.startsWith(`${pid} `) && !(await isOfUdev(host.files, user))
      return kind !== 'xen-backend' || state === undefined || state === 'Connected'
    })
  )
  return final.includes(true)
}

function notJudged({ target, lun }: Place, unknown: readonly string[], timeoutMs: number): LunError<'TIMEOUT'> {
  const awaited = `whether LUN ${lun} of ${target} is used: ${unknown.join(', ')}`
  return new LunError('TIMEOUT', `timed out after ${timeoutMs} ms waiting for ${awaited}`, { awaited, timeoutMs })
}

export async function inUse(
  context: Context,
  { target, lun }: Pick<Place, 'target' | 'lun'>,
  found: readonly DeviceUser[]
): Promise<LunError<'LUN_IN_USE'>> {
  const users = await Promise.all(
    // A process, a mount, a map: whoever made it has named it.
    found.map(async user => await withDomain(context, { ...user, name: printable(user.name) }))
  )
  const who = users.map(describeUser).join(', ')
  return new LunError('LUN_IN_USE', `LUN ${lun} of ${target} is in use: ${who}`, { target, lun, users })
}

function describeUser({ kind, device, name, domain }: DeviceUser): string {
  return `${kind} ${name}${domain === undefined ? '' : ` of domain ${domain}`} on ${device}`
}

/** A backend's name has only the number of its guest. */
async function withDomain({ xenstore }: Context, user: DeviceUser): Promise<DeviceUser> {
  const [, domid] = (user.kind === 'xen-backend' && /^vbd-(\d+)-/.exec(user.name)) || []
  if (domid === undefined) return user
  const domain = await xenstore.tryRead(`/local/domain/${domid}/name`).catch(() => undefined)
  return domain === undefined ? user : { ...user, domain: printable(domain) }
}
