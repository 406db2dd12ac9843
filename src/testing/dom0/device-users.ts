import { claim, FILE_SYSTEM, once, openBlock } from './claims.ts'
import type { BlockDevice } from './devices.ts'
import { findDevice } from './kernel.ts'
import type { Machine } from './machine.ts'
import type { PartitionSpec } from './partitions.ts'
import { hung, type TreeDevice } from './tree.ts'

/** A device or a file that is open. */
export interface OpenDevice {
  close(): void
}

/** How a process has a device open. */
export interface OpenDeviceOptions {
  /** Who started the process. Default: init. */
  readonly parent?: { readonly pid: number; readonly command: string }
  /** A node that was made for it, by mknod in a container: the name its process knows, which is nothing to others. */
  readonly as?: string
}

/** A device that somebody within the kernel has alone. */
export interface ClaimedDevice {
  release(): void
}

/** What is mounted, and who sees it. */
export interface MountOptions {
  /** Default `ext4`. `btrfs` has an anonymous number in `mountinfo` and names the device only as its source. */
  readonly fsType?: 'ext4' | 'btrfs'
  /** In another mount namespace, where no process of ours sees it. */
  readonly isElsewhere?: boolean
  /** A process that lives there, and sees it. */
  readonly pid?: number
}

/** A mounted device. */
export interface MountedDevice {
  unmount(): void
}

/** A device that is swapped to. */
export interface SwapDevice {
  swapOff(): void
}

/** What lies on the lower device, and what it is called. */
export interface StackedDeviceSpec {
  /** Path of the lower device's node. */
  readonly on: string
  /** Below /dev/mapper. */
  readonly name: string
  /** Tells what made it: `LVM-…`, `CRYPT-LUKS2-…`, `part1-mpath-…`. */
  readonly uuid: string
}

/** A device-mapper device on another device. */
export interface StackedDevice {
  /** `dm-1` */
  readonly name: string
  /** `/dev/mapper/vg-lv` */
  readonly path: string
  /** @throws while it is in use itself */
  remove(): void
}

/** A partition of a plain disk, as the kernel has read it from the disk's table. */
export interface KernelPartition {
  /** `sda1` */
  readonly name: string
  /** `/dev/sda1` */
  readonly path: string
  /** @throws while it is in use */
  remove(): void
}

/** Whoever keeps a device of the simulated host from going away. */
export interface DeviceUsers {
  /** Opens a device node, so that it is in use, though not claimed; by the process `pid`, which shows as `command` unless it is there already. */
  openDevice(path: string, pid?: number, command?: string, options?: OpenDeviceOptions): OpenDevice
  /**
   * Opens a file on a file system that does not answer any more, as of a dead NFS server, mounted where the file is. What
   * /proc says of it can be read; whatever follows the link never ends.
   */
  openHungFile(pid: number, path: string, fsType?: 'nfs4' | 'fuse'): OpenDevice
  /**
   * Shows in every process's `mountinfo`, unless it is elsewhere.
   *
   * @throws EBUSY while something else than a file system has the device or a partition of it
   */
  mount(path: string, mountPoint: string, options?: MountOptions): MountedDevice
  swapOn(path: string): SwapDevice
  /**
   * Has the device alone, as users within the kernel do that no table names: LIO, ZFS, an md of another namespace.
   *
   * @throws EBUSY while a mount, swap or a device-mapper device has it or a partition of it
   */
  claimDevice(path: string): ClaimedDevice
  /** Makes a device-mapper device, such as LVM's, dm-crypt's or a partition's, on another one. */
  stackDevice(spec: StackedDeviceSpec): StackedDevice
  /** Shows a partition on a plain disk. What has it for itself has its part of the disk. */
  partition(path: string, spec?: PartitionSpec): KernelPartition
  /** Reads from a device node as a guest would. */
  readDevice(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Has the device open until it ends: for ever, on a map that queues and has no path. */
  writeDevice(path: string, offset: number, data: Uint8Array): Promise<void>
}

const OTHER_PID = 999
const HUNG_SOURCES = { nfs4: 'nas:/export', fuse: 'hung' }

export function createDeviceUsers({ tree, kernel, proc }: Machine): DeviceUsers {
  const nodeAt = (path: string): TreeDevice => {
    const node = tree.find(path)
    if (node?.kind !== 'device') throw new Error(`${path} is no device`)
    return node
  }
  const deviceAt = (path: string): BlockDevice => {
    const device = findDevice(kernel, nodeAt(path))
    if (device === undefined) throw new Error(`${path} is the node of a device that is gone`)
    return device
  }
  return {
    openDevice: (path, pid = OTHER_PID, command = 'holder', { as = path, parent } = {}) => {
      const close = openBlock(deviceAt(path))
      if (parent !== undefined) proc.addProcess(parent.pid, [parent.command])
      proc.addProcess(pid, [command], parent?.pid)
      const closeFile = proc.openFile({ pid, path: as, node: nodeAt(path) })
      return {
        close: () => {
          close()
          closeFile()
        },
      }
    },
    openHungFile: (pid, path, fsType = 'nfs4') => {
      proc.addProcess(pid, ['holder'])
      const mountPoint = path.slice(0, path.lastIndexOf('/'))
      const isOurs = proc.mountsOf(pid) === proc.mounts
      if (isOurs && tree.find(mountPoint) !== hung) tree.put(mountPoint, hung)
      if (!proc.mountsOf(pid).has(mountPoint)) {
        proc.mountsOf(pid).add({ number: proc.anonymousNumber(), fsType, source: HUNG_SOURCES[fsType], mountPoint })
      }
      return { close: proc.openFile({ pid, path, node: hung }) }
    },
    mount: (path, mountPoint, { fsType = 'ext4', isElsewhere = false, pid } = {}) => {
      const device = deviceAt(path)
      const close = claim(device, FILE_SYSTEM)
      if (pid !== undefined) proc.addProcess(pid, ['holder'])
      const seen = isElsewhere ? (pid === undefined ? undefined : proc.unshare(pid)) : proc.mounts
      const number = fsType === 'btrfs' ? proc.anonymousNumber() : `${device.major}:${device.minor}`
      const hide = seen?.add({ number, fsType, source: path, mountPoint })
      return {
        unmount: once(() => {
          close()
          hide?.()
        }),
      }
    },
    swapOn: path => {
      const device = deviceAt(path)
      const close = claim(device, {})
      proc.swaps.add(device)
      return {
        swapOff: () => {
          close()
          proc.swaps.delete(device)
        },
      }
    },
    claimDevice: path => ({ release: claim(deviceAt(path), {}) }),
    partition: (path, spec = {}) => {
      const partition = kernel.addPartition(deviceAt(path), spec)
      return {
        name: partition.name,
        path: `/dev/${partition.name}`,
        remove: () => {
          if (partition.openCount > 0 || partition.holders.size > 0) throw new Error(`${partition.name} is in use`)
          kernel.removePartition(partition)
        },
      }
    },
    stackDevice: ({ on, name, uuid }) => {
      const path = `/dev/mapper/${name}`
      if (tree.find(path) !== undefined) throw new Error(`there is a device ${path} already`)
      const device = kernel.createMap(name, uuid, [deviceAt(on)])
      return {
        name: device.name,
        path,
        remove: () => {
          if (kernel.maps.get(device.name) !== device) return
          if (device.openCount > 0 || device.holders.size > 0) throw new Error(`${path} is in use`)
          kernel.removeMap(device)
        },
      }
    },
    readDevice: async (path, offset, length) => await nodeAt(path).read(offset, length, true),
    writeDevice: async (path, offset, data) => await nodeAt(path).write(offset, data),
  }
}
