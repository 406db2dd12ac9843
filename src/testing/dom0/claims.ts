import type { BlockDevice } from './devices.ts'
import { dropPages } from './page-cache.ts'
import { fileError } from './tree.ts'

/** All of device-mapper is one holder: maps, LVM and crypt may lie on one disk (`_dm_claim_ptr`, drivers/md/dm.c). */
export const DEVICE_MAPPER = 'device-mapper'
/** One file system may be mounted many times. */
export const FILE_SYSTEM = 'file system'

/** Whether `holder` would be given the device: bd_may_claim() in block/bdev.c. */
export function mayClaim(device: BlockDevice, holder: unknown): boolean {
  const isFree = (each: BlockDevice): boolean => holdersOf(each).length === 0
  return (
    holdersOf(device).every(other => other === holder) &&
    (device.part === undefined || isFree(device.part.disk)) &&
    [...device.partitions].every(isFree)
  )
}

/** Whether the kernel refuses it to one who wants it alone. */
export function isClaimed(device: BlockDevice): boolean {
  return !mayClaim(device, {})
}

/** Opens the device for `holder` alone. Returns what gives it back. */
export function claim(device: BlockDevice, holder: unknown): () => void {
  if (!mayClaim(device, holder)) throw fileError('EBUSY', `/dev/${device.name}`)
  const close = openBlock(device)
  device.claims.push(holder)
  return once(() => {
    device.claims.splice(device.claims.indexOf(holder), 1)
    close()
  })
}

/** Opens the device as anybody may. Returns what closes it. */
export function openBlock(device: BlockDevice): () => void {
  device.openCount++
  return once(() => {
    device.openCount--
    dropPages(device)
  })
}

function holdersOf({ claims, holders }: BlockDevice): readonly unknown[] {
  return holders.size > 0 ? [DEVICE_MAPPER, ...claims] : claims
}

export function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}
