import type { BlockDevice } from './devices.ts'
import type { IoQueue } from './io.ts'
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
  tree.put(`/sys/block/${device.name}`, link(folder))
  show('dev', () => `${device.major}:${device.minor}`)
  show('size', () => device.sizeBytes / SECTOR_BYTES)
  show('ro', () => 0)
  const { dm } = device
  if (dm !== undefined) {
    show('dm/name', () => dm.name)
    show('dm/uuid', () => dm.uuid)
  }
  tree.makeDirectory(`${folder}/holders`)
  tree.makeDirectory(`${folder}/slaves`)
}

export function hideBlock(tree: Tree, { name }: BlockDevice): void {
  const folder = tree.resolve(`/sys/block/${name}`)
  if (folder !== undefined) tree.remove(folder)
  tree.remove(`/sys/block/${name}`)
}

/** Puts a map onto a disk. */
export function stack(tree: Tree, map: BlockDevice, disk: BlockDevice): void {
  map.slaves.add(disk)
  disk.holders.add(map)
  tree.put(`/sys/block/${map.name}/slaves/${disk.name}`, link(`/sys/block/${disk.name}`))
  tree.put(`/sys/block/${disk.name}/holders/${map.name}`, link(`/sys/block/${map.name}`))
}

export function unstack(tree: Tree, map: BlockDevice, disk: BlockDevice): void {
  map.slaves.delete(disk)
  disk.holders.delete(map)
  tree.remove(`/sys/block/${map.name}/slaves/${disk.name}`)
  tree.remove(`/sys/block/${disk.name}/holders/${map.name}`)
}
