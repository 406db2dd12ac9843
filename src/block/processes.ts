import type { DeviceUser } from '../core/error-details.ts'
import { printable } from '../core/printable.ts'
import type { Files } from '../host/files.ts'
import type { BlockDevice } from './block-device.ts'
import type { OpenDevices, Opener } from './open-devices.ts'

/** Processes that hold one of these devices open, and loop devices on one. */
export async function nameProcesses(
  files: Pick<Files, 'read'>,
  devices: readonly BlockDevice[],
  { byNumber, byName }: OpenDevices
): Promise<readonly DeviceUser[]> {
  const found = await Promise.all(
    devices.map(async (device): Promise<readonly DeviceUser[]> => {
      const openers = [
        ...(byNumber.get(`${device.major}:${device.minor}`) ?? []),
        ...nodesOf(device).flatMap(node => byName.get(node) ?? []),
      ]
      const distinct = new Map(openers.map(opener => ['pid' in opener ? opener.pid : opener.loop, opener]))
      return await Promise.all([...distinct.values()].map(async opener => await describe(files, device, opener)))
    })
  )
  return found.flat()
}

function nodesOf({ name, dm }: BlockDevice): readonly string[] {
  return [`/dev/${name}`, ...(dm === undefined ? [] : [`/dev/mapper/${dm.name}`])]
}

async function describe(
  files: Pick<Files, 'read'>,
  { name: device }: BlockDevice,
  opener: Opener
): Promise<DeviceUser> {
  if ('loop' in opener) return { kind: 'holder', device, name: opener.loop }
  const command = printable((await files.read(`/proc/${opener.pid}/comm`).catch(() => undefined)) ?? '?')
  return { kind: 'process', device, name: `${opener.pid} ${command}` }
}
