import { type BlockDevice, isReadOnly } from './devices.ts'
import type { IoQueue } from './io.ts'
import { dropPages } from './page-cache.ts'
import type { StorageArray } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import { attribute, link, type Tree } from './tree.ts'

/** What the layers that make block devices are built on, and whom they tell. */
export interface BlockLayerParts {
  readonly tree: Tree
  readonly array: StorageArray
  readonly scheduler: Scheduler
  readonly ioQueue: IoQueue
  readonly added: (device: BlockDevice) => void
  readonly removed: (device: BlockDevice) => void
}

const SECTOR_BYTES = 512

/** A block device that nobody uses yet. */
export function createBlock({ scsi, dm, part, ...parts }: BlockSpec): BlockDevice {
  return {
    ...parts,
    holders: new Set(),
    slaves: new Set(),
    openCount: 0,
    claims: [],
    pages: new Map(),
    partitions: new Set(),
    scsi,
    dm,
    part,
  }
}

type BlockSpec = Pick<BlockDevice, 'name' | 'major' | 'minor' | 'sizeBytes'> &
  Partial<Pick<BlockDevice, 'scsi' | 'dm' | 'part'>>

/** Shows a block device in sysfs. `folder` is where it really is. */
export function publishBlock(tree: Tree, device: BlockDevice, folder: string): void {
  const show = (name: string, read: () => string | number): void =>
    tree.put(
      `${folder}/${name}`,
      attribute(() => `${read()}\n`)
    )
  for (const place of placesOf(device)) tree.put(place, link(relative(place, folder)))
  show('dev', () => `${device.major}:${device.minor}`)
  show('size', () => device.sizeBytes / SECTOR_BYTES)
  show('ro', () => (isReadOnly(device) ? 1 : 0))
  tree.makeDirectory(`${folder}/holders`)
  const { dm, part } = device
  if (part !== undefined) {
    show('partition', () => part.number)
    show('start', () => part.startBytes / SECTOR_BYTES)
    return
  }
  if (dm !== undefined) {
    show('dm/name', () => dm.name)
    show('dm/uuid', () => dm.uuid)
  }
  tree.makeDirectory(`${folder}/slaves`)
}

export function hideBlock(tree: Tree, device: BlockDevice): void {
  const folder = tree.resolve(sysfsOf(device))
  if (folder !== undefined) tree.remove(folder)
  for (const place of placesOf(device)) tree.remove(place)
}

/** A partition has no place among the disks. */
function placesOf(device: BlockDevice): readonly string[] {
  const { name, major, minor, part } = device
  const places = [sysfsOf(device), `/sys/dev/block/${major}:${minor}`]
  return part === undefined ? [...places, `/sys/block/${name}`] : places
}

export function sysfsOf({ name }: BlockDevice): string {
  return `/sys/class/block/${name}`
}

/** The text of a link at `place`, as the kernel makes it. */
function relative(place: string, target: string): string {
  const up = '../'.repeat(place.split('/').length - '/sys/x'.split('/').length)
  return `${up}${target.replace('/sys/', '')}`
}

/** Puts a map onto a disk. */
export function stack(tree: Tree, map: BlockDevice, disk: BlockDevice): void {
  map.slaves.add(disk)
  disk.holders.add(map)
  tree.put(`${sysfsOf(map)}/slaves/${disk.name}`, link(sysfsOf(disk)))
  tree.put(`${sysfsOf(disk)}/holders/${map.name}`, link(sysfsOf(map)))
}

export function unstack(tree: Tree, map: BlockDevice, disk: BlockDevice): void {
  map.slaves.delete(disk)
  disk.holders.delete(map)
  dropPages(disk)
  tree.remove(`${sysfsOf(map)}/slaves/${disk.name}`)
  tree.remove(`${sysfsOf(disk)}/holders/${map.name}`)
}
