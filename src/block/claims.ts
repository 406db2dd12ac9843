import type { DeviceUser } from '../core/error-details.ts'
import type { Files } from '../host/files.ts'
import { readBlockDevice } from './block-device.ts'
import type { Inquiry } from './inquiry.ts'
import type { StackedDevice } from './stack.ts'

/**
 * Whom the kernel has given one of these devices for himself, where no table names him: a mount of another namespace, one
 * of the further devices of a btrfs, md, bcache, LIO, ZFS. All of device-mapper is one holder: below a map the answer is
 * always yes, and only another map can be there besides, which sysfs names.
 *
 * @param known - who was found already: he explains that his device is taken
 */
export async function findClaims(
  files: Files,
  stack: readonly StackedDevice[],
  known: readonly DeviceUser[],
  inquiry: Inquiry
): Promise<readonly DeviceUser[]> {
  const byName = new Map(stack.map(device => [device.name, device]))
  const explained = new Set(known.filter(({ kind }) => CLAIMING.includes(kind)).map(({ device }) => device))
  const isHeld = (device: StackedDevice): boolean => device.isHeld || explained.has(device.name)
  const found: DeviceUser[] = []
  // Partitions first: who has one has a part of its disk, which is taken then, too.
  for (const device of stack.toReversed()) {
    const disk = byName.get(device.on ?? '')
    const isPartition = disk?.partitions.includes(device.name) === true
    if (!device.isVolume || isHeld(device) || (isPartition && isHeld(disk))) continue
    if (device.partitions.some(name => explained.has(name) || byName.get(name)?.isHeld === true)) continue
    if (!(await isClaimed(files, device, inquiry))) continue
    explained.add(device.name)
    found.push({ kind: 'open', device: device.name, name: 'claimed by the kernel or in another namespace' })
  }
  return found
}

const CLAIMING: readonly DeviceUser['kind'][] = ['mount', 'swap', 'holder']

async function isClaimed(files: Files, device: StackedDevice, inquiry: Inquiry): Promise<boolean> {
  const node = `/dev/${device.name}`
  // By now it may be the node of another device.
  const stat = await files.stat(node)
  const isRight = stat?.device.major === device.major && stat.device.minor === device.minor
  const answer = isRight ? await inquiry.ask(node, files.isClaimed(node).catch(messageOf)) : undefined
  if (typeof answer === 'boolean') return answer
  if (await isThere(files, device))
    inquiry.unknown(answer ?? `${node}, which is not the node of ${device.major}:${device.minor}`)
  return false
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function isThere(files: Files, { sysfs, major, minor }: StackedDevice): Promise<boolean> {
  const found = await readBlockDevice(files, sysfs)
  return found?.major === major && found.minor === minor
}
