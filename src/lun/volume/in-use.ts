import { type BlockDevice, readBlockDevice } from '../../block/block-device.ts'
import { findProcesses } from '../../block/processes.ts'
import { findUsers } from '../../block/users.ts'
import { isLunError, LunError } from '../../core/error.ts'
import type { DeviceUser } from '../../core/error-details.ts'
import { printable } from '../../core/printable.ts'
import { until } from '../../flow/until.ts'
import type { Files } from '../../host/files.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'

const UDEV = /^\d+ (?:\(udev-worker\)|systemd-udevd)$/
/** It opens every disk it watches, and lets go of one that is deleted. */
const MULTIPATHD = /^\d+ multipathd$/

type Place = Pick<Operation, 'signal' | 'target' | 'lun'>

/**
 * Refuses while somebody uses one of the devices. Mounts, swap, holders, connected guests and processes are final at
 * once. What is letting go by itself gets `busyMs`: a Xen backend that is closing, since toolstacks call `remove` before
 * blkback is done, and udev, which reads a device after each writer.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user
 */
export async function assertUnused(
  context: Context,
  place: Place,
  names: readonly string[],
  { busyMs, withProcesses }: { readonly busyMs: number; readonly withProcesses: boolean }
): Promise<void> {
  const { host } = context
  let users: readonly DeviceUser[] = []
  const look = async (): Promise<boolean> => {
    users = await usersOf(host.files, names, { withProcesses })
    if (users.some(isFinal)) throw await inUse(context, place, users)
    return users.length === 0
  }
  try {
    await until(host.clock, look, { awaited: 'the device to be closed', timeoutMs: busyMs, signal: place.signal })
  } catch (error) {
    throw isLunError(error, 'TIMEOUT') ? await inUse(context, place, users) : error
  }
}

/** The error for a device that is busy, if somebody is found who will not let go of it by himself. */
export async function findFinalUser(
  context: Context,
  place: Place,
  names: readonly string[]
): Promise<LunError<'LUN_IN_USE'> | undefined> {
  const users = await usersOf(context.host.files, names, { withProcesses: true })
  return users.some(isFinal) ? await inUse(context, place, users) : undefined
}

/** The error for a device that stayed busy, whoever that was. */
export async function describeBusy(
  context: Context,
  place: Place,
  names: readonly string[]
): Promise<LunError<'LUN_IN_USE'>> {
  const users = await usersOf(context.host.files, names, { withProcesses: true })
  const unknown: DeviceUser = {
    kind: 'open',
    device: names[0] ?? '?',
    name: 'opened by the kernel or in another namespace',
  }
  return await inUse(context, place, users.length > 0 ? users : [unknown])
}

async function usersOf(
  files: Files,
  names: readonly string[],
  { withProcesses }: { readonly withProcesses: boolean }
): Promise<readonly DeviceUser[]> {
  const read = await Promise.all(names.map(async name => await readBlockDevice(files, name)))
  const devices = read.filter((device): device is BlockDevice => device !== undefined)
  const users = await Promise.all(devices.map(async device => await findUsers(files, device)))
  const processes = withProcesses ? await findProcesses(files, devices) : []
  return [...users.flat(), ...processes.filter(({ kind, name }) => kind !== 'process' || !MULTIPATHD.test(name))]
}

function isFinal({ kind, state, name }: DeviceUser): boolean {
  if (kind === 'process') return !UDEV.test(name)
  return kind !== 'xen-backend' || state === undefined || state === 'Connected'
}

async function inUse(
  context: Context,
  { target, lun }: Place,
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
