import type { BlockDevice } from './devices.ts'
import type { Kernel } from './kernel.ts'

/** Whether multipath made it; else LVM, kpartx, … did. */
export function isMultipath({ dm }: BlockDevice): boolean {
  return dm?.uuid.startsWith('mpath-') === true
}

/** Removes a map, and first the partitions on it, unless somebody uses one of them. */
export function flushMap(kernel: Pick<Kernel, 'removeMap'>, map: BlockDevice): boolean {
  const partitions = [...map.holders].filter(({ dm }) => dm !== undefined && /^part\d+-mpath-/.test(dm.uuid))
  const isOpen = [map, ...partitions].some(({ openCount }) => openCount > 0)
  const isBelow = map.holders.size > partitions.length || partitions.some(({ holders }) => holders.size > 0)
  if (isOpen || isBelow) return false
  for (const device of [...partitions, map]) kernel.removeMap(device)
  return true
}
