import { type BlockLayerParts, createBlock, hideBlock, publishBlock, stack, unstack } from './block.ts'
import { DEVICE_MAPPER, mayClaim } from './claims.ts'
import type { BlockDevice } from './devices.ts'
import { deviceNode } from './io.ts'
import { fileError } from './tree.ts'

/** The kernel's device-mapper. */
export interface DeviceMapper {
  readonly maps: Map<string, BlockDevice>
  /** @throws EBUSY if one of the disks has another holder, as a file system or swap */
  createMap(name: string, uuid: string, disks: readonly BlockDevice[]): BlockDevice
  /**
   * Puts other disks below a map.
   *
   * @throws as `createMap` does, and the map stays as it is
   */
  loadMap(map: BlockDevice, disks: readonly BlockDevice[]): void
  /** Takes the size of its smallest disk that has one. */
  resizeMap(map: BlockDevice): void
  removeMap(map: BlockDevice): void
  /** Whether I/O waits while no disk below works. */
  setQueueing(map: BlockDevice, isQueueing: boolean): void
}

const DM_MAJOR = 253

export function createDeviceMapper(parts: BlockLayerParts): DeviceMapper {
  const { tree } = parts
  const maps = new Map<string, BlockDevice>()
  const nodes = ({ name, dm }: BlockDevice): readonly string[] => [`/dev/mapper/${dm?.name ?? ''}`, `/dev/${name}`]
  const freeMinor = (): number => {
    for (let n = 0; ; n++) if (!maps.has(`dm-${n}`)) return n
  }
  const checkFree = (disks: readonly BlockDevice[]): void => {
    const taken = disks.find(disk => !mayClaim(disk, DEVICE_MAPPER))
    if (taken !== undefined) throw fileError('EBUSY', `/dev/${taken.name}`)
  }
  return {
    maps,
    createMap: (name, uuid, disks) => {
      const minor = freeMinor()
      checkFree(disks)
      const map = createBlock({
        name: `dm-${minor}`,
        major: DM_MAJOR,
        minor,
        sizeBytes: disks[0]?.sizeBytes ?? 0,
        dm: { name, uuid, isQueueing: false },
      })
      maps.set(map.name, map)
      publishBlock(tree, map, `/sys/devices/virtual/block/${map.name}`)
      for (const disk of disks) stack(tree, map, disk)
      for (const path of nodes(map)) tree.put(path, deviceNode(parts, path, map))
      parts.added(map)
      return map
    },
    loadMap: (map, disks) => {
      checkFree(disks)
      for (const disk of map.slaves) if (!disks.includes(disk)) unstack(tree, map, disk)
      for (const disk of disks) if (!map.slaves.has(disk)) stack(tree, map, disk)
      parts.ioQueue.wake()
    },
    resizeMap: map => {
      const sizes = [...map.slaves].map(({ sizeBytes }) => sizeBytes).filter(size => size > 0)
      if (sizes.length > 0) map.sizeBytes = Math.min(...sizes)
    },
    setQueueing: ({ dm }, isQueueing) => {
      if (dm !== undefined) dm.isQueueing = isQueueing
      parts.ioQueue.wake()
    },
    removeMap: map => {
      for (const disk of map.slaves) unstack(tree, map, disk)
      maps.delete(map.name)
      hideBlock(tree, map)
      for (const path of nodes(map)) tree.remove(path)
      parts.removed(map)
    },
  }
}
