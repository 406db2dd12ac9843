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
  /** Something is built on it, be it left out here. */
  readonly isHeld: boolean
}

export interface StackOptions {
  /**
   * What a multipath map is that is found on one of these devices: part of the volume (the default), a user of it, or
   * left out with all that is on it.
   */
  readonly maps?: 'volume' | 'user' | 'left-out'
}

/** These devices, their partitions, and everything that is stacked on any of them, each once, as sysfs tells. */
export async function readStack(
  files: Files,
  names: readonly string[],
  { maps = 'volume' }: StackOptions = {}
): Promise<readonly StackedDevice[]> {
  const found = new Map<string, StackedDevice>()
  const add = async (name: string, sysfs: string, on?: StackedDevice): Promise<void> => {
    if (found.has(name)) return
    const device = await readBlockDevice(files, sysfs)
    if (device === undefined || found.has(name)) return
    const isMap = multipathWwid(device) !== undefined
    if (isMap && on !== undefined && maps === 'left-out') {
      found.set(on.name, { ...on, holders: on.holders.filter(holder => holder !== name) })
      return
    }
    const isPartition = on?.partitions.includes(name) === true
    const partitions = isPartition ? [] : await partitionsOf(files, device)
    const isVolume =
      on === undefined || (on.isVolume && (isPartition || isMapPartition(device) || (isMap && maps === 'volume')))
    const stacked = { ...device, name, sysfs, isVolume, on: on?.name, partitions, isHeld: device.holders.length > 0 }
    found.set(name, stacked)
    for (const partition of partitions) await add(partition, `${name}/${partition}`, stacked)
    for (const holder of device.holders) await add(holder, holder, stacked)
  }
  for (const name of names) await add(name, name)
  return [...found.values()]
}

// kpartx, and multipathd's udev rules, prefix a map's uuid with this. multipathd removes such maps with their map.
const PARTITION_UUID = /^part\d+-mpath-/

function isMapPartition({ dm }: BlockDevice): boolean {
  return PARTITION_UUID.test(dm?.uuid ?? '')
}

/** The partitions the kernel found on a disk; on a map it looks for none. */
async function partitionsOf(files: Files, { name, dm }: BlockDevice): Promise<readonly string[]> {
  if (dm !== undefined) return []
  return (await files.list(`/sys/block/${name}`)).filter(entry => entry.startsWith(name))
}
