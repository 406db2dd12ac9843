import { type BlockDevice, readBlockDevice } from '../block/block-device.ts'
import { findProcesses, findUsers } from '../block/users.ts'
import { isLunError, LunError } from '../core/error.ts'
import type { DeviceUser } from '../core/error-details.ts'
import { until } from '../flow/until.ts'
import type { Files } from '../host/files.ts'
import type { Context } from './context.ts'
import type { Operation } from './operation.ts'

const UDEV = /^\d+ (?:\(udev-worker\)|systemd-udevd)$/

type Place = Pick<Operation, 'signal' | 'target' | 'lun'>

/**
 * Refuses while somebody uses one of the devices. Mounts, swap, holders, connected guests and processes are final at
 * once. What is letting go by itself gets `busyMs`: a Xen backend that is closing, since toolstacks call `remove` before
 * blkback is done, and udev, which reads a device after each writer.
 *
 * @throws {@link LunError} `LUN_IN_USE` naming every user
 */
export async function assertUnused(
  { host }: Context,
  place: Place,
  names: readonly string[],
  { busyMs, withProcesses }: { readonly busyMs: number; readonly withProcesses: boolean }
): Promise<void> {
  let users: readonly DeviceUser[] = []
  const look = async (): Promise<boolean> => {
    const devices = await devicesOf(host.files, names)
    const processes = withProcesses ? await findProcesses(host.files, devices) : []
    users = [...(await usersOf(host.files, devices)), ...processes]
    if (users.some(user => !isPassing(user))) throw inUse(place, users)
    return users.length === 0
  }
  try {
    await until(host.clock, look, { awaited: 'the device to be closed', timeoutMs: busyMs, signal: place.signal })
  } catch (error) {
    throw isLunError(error, 'TIMEOUT') ? inUse(place, users) : error
  }
}

/** The error for a device that nothing but an open file keeps busy: looks which process that is. */
export async function describeBusy(
  { host }: Context,
  place: Place,
  names: readonly string[]
): Promise<LunError<'LUN_IN_USE'>> {
  const devices = await devicesOf(host.files, names)
  const users = [...(await usersOf(host.files, devices)), ...(await findProcesses(host.files, devices))]
  const unknown: DeviceUser = {
    kind: 'open',
    device: names[0] ?? '?',
    name: 'opened by the kernel or in another namespace',
  }
  return inUse(place, users.length > 0 ? users : [unknown])
}

function isPassing({ kind, state, name }: DeviceUser): boolean {
  if (kind === 'process') return UDEV.test(name)
  return kind === 'xen-backend' && state !== undefined && state !== 'Connected'
}

async function devicesOf(files: Files, names: readonly string[]): Promise<readonly BlockDevice[]> {
  return (await Promise.all(names.map(async name => await readBlockDevice(files, name)))).filter(
    device => device !== undefined
  )
}

async function usersOf(files: Files, devices: readonly BlockDevice[]): Promise<readonly DeviceUser[]> {
  return (await Promise.all(devices.map(async device => await findUsers(files, device)))).flat()
}

function inUse({ target, lun }: Place, users: readonly DeviceUser[]): LunError<'LUN_IN_USE'> {
  const who = users.map(({ kind, device, name }) => `${kind} ${name} on ${device}`).join(', ')
  return new LunError('LUN_IN_USE', `LUN ${lun} of ${target} is in use: ${who}`, { target, lun, users })
}
