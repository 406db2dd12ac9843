import { type BlockLayerParts, createBlock, hideBlock, publishBlock, sysfsOf, unstack } from './block.ts'
import type { BlockDevice } from './devices.ts'
import { deviceNode } from './io.ts'

/** Where a partition lies on its disk. */
export interface PartitionSpec {
  /** Default: the next one. */
  readonly number?: number
  /** Default 1. */
  readonly startMiB?: number
  /** Default: up to the end of the disk. */
  readonly sizeMiB?: number
}

/** The partitions the kernel has found on plain disks. */
export interface Partitions {
  readonly partitions: ReadonlyMap<string, BlockDevice>
  addPartition(disk: BlockDevice, spec: PartitionSpec): BlockDevice
  removePartition(partition: BlockDevice): void
}

const MIB = 1 << 20

export function createPartitions(parts: BlockLayerParts): Partitions {
  const { tree } = parts
  const partitions = new Map<string, BlockDevice>()
  return {
    partitions,
    addPartition: (disk, { number = disk.partitions.size + 1, startMiB = 1, sizeMiB }) => {
      const name = `${disk.name}${number}`
      if (disk.scsi === undefined || partitions.has(name)) throw new Error(`there can be no partition ${name}`)
      const startBytes = startMiB * MIB
      const partition = createBlock({
        name,
        major: disk.major,
        minor: disk.minor + number,
        sizeBytes: sizeMiB === undefined ? disk.sizeBytes - startBytes : sizeMiB * MIB,
        part: { disk, number, startBytes },
      })
      disk.partitions.add(partition)
      partitions.set(name, partition)
      publishBlock(tree, partition, `${tree.resolve(sysfsOf(disk)) ?? ''}/${name}`)
      tree.put(`/dev/${name}`, deviceNode(parts, `/dev/${name}`, partition))
      parts.added(partition)
      return partition
    },
    removePartition: partition => {
      const { name, part } = partition
      if (partitions.get(name) !== partition) return
      for (const map of partition.holders) unstack(tree, map, partition)
      part?.disk.partitions.delete(partition)
      partitions.delete(name)
      hideBlock(tree, partition)
      tree.remove(`/dev/${name}`)
      parts.removed(partition)
    },
  }
}
