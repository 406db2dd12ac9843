import type { Files } from '../host/files.ts'
import { type BlockDevice, multipathWwid, readBlockDevice } from './block-device.ts'

/** A device of a volume, or what is built on one. */
export interface StackedDevice extends BlockDevice {
  /** One of the devices asked for, a partition of one, or multipath's map. False for what somebody has put on those. */
  readonly isVolume: boolean
  /** Below /sys/block: `sda/sda1`. */
  readonly sysfs: string
  /** The device this one was found on. */
  readonly on: string | undefined
  /** The kernel's partitions of a disk. */
  readonly partitions: readonly string[]
}

/** These devices, their partitions, and everything that is stacked on any of them, each once, as sysfs tells. */
export async function readStack(files: Files, names: readonly string[]): Promise<readonly StackedDevice[]> {
  const found = new Map<string, StackedDevice>()
  const add = async (name: string, sysfs: string, on?: StackedDevice): Promise<void> => {
    if (found.has(name)) return
    const device = await readBlockDevice(files, sysfs)
    if (device === undefined || found.has(name)) return
    const isPartition = on?.partitions.includes(name) === true
    const partitions = isPartition ? [] : await partitionsOf(files, device)
    const isVolume = on === undefined || (on.isVolume && (isPartition || isPartOfVolume(device)))
    const stacked = { ...device, name, sysfs, isVolume, on: on?.name, partitions }
    found.set(name, stacked)
    for (const partition of partitions) await add(partition, `${name}/${partition}`, stacked)
    for (const holder of device.holders) await add(holder, holder, stacked)
  }
  for (const name of names) await add(name, name)
  return [...found.values()]
}

// kpartx, and multipathd's udev rules, prefix a map's uuid with this. multipathd removes such maps with their map.
const PARTITION_UUID = /^part\d+-mpath-/

function isPartOfVolume(device: BlockDevice): boolean {
  return PARTITION_UUID.test(device.dm?.uuid ?? '') || multipathWwid(device) !== undefined
}

/** The partitions the kernel found on a disk; on a map it looks for none. */
async function partitionsOf(files: Files, { name, dm }: BlockDevice): Promise<readonly string[]> {
  if (dm !== undefined) return []
  return (await files.list(`/sys/block/${name}`)).filter(entry => entry.startsWith(name))
}
