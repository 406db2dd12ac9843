import { mkdir, rmdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { writeAttribute } from './files.ts'
import { run } from './run.ts'

/** A device of the kernel that stands on another one. */
export interface Stacked {
  /** As in /sys/block, or at the device-mapper. */
  readonly name: string
  readonly release: () => Promise<void>
}

/** dm-crypt, with a key of zeros. */
export const encrypt = async (path: string): Promise<Stacked> => {
  const name = 'labcrypt'
  const cipher = ['--cipher', 'aes-cbc-plain64', '--key-size', '256', '--key-file', '/dev/zero']
  // Shared, or cryptsetup would refuse the path of a map, which the kernel does not.
  await run('cryptsetup', ['open', '--type', 'plain', '--shared', '--batch-mode', ...cipher, path, name])
  return {
    name,
    release: async () => {
      await run('cryptsetup', ['close', name])
    },
  }
}

/** A map of somebody's own. */
export const mapLinear = async (path: string): Promise<Stacked> => {
  const name = 'lablinear'
  await run('dmsetup', ['create', name, '--table', `0 2048 linear ${path} 0`])
  return {
    name,
    release: async () => {
      await run('dmsetup', ['remove', '--retry', name])
    },
  }
}

const array = 'md127'

/** An array of one disk, which has nothing written on it. */
export const buildArray = async (path: string): Promise<Stacked> => {
  await run('modprobe', ['raid1'])
  // "force" allows what comes after it: one disk is no usual array.
  const shape = ['--level=1', '--force', '--raid-devices=1', '--assume-clean']
  await run('mdadm', ['--build', `/dev/${array}`, ...shape, path])
  return {
    name: array,
    release: async () => {
      await run('mdadm', ['--stop', `/dev/${array}`])
    },
  }
}

// The volumes of the lab's own array are in iblock_0.
const hba = '/sys/kernel/config/target/core/iblock_1'

/** LIO offers the device to others. */
export const exportAgain = async (path: string): Promise<Stacked> => {
  const name = 'again'
  await mkdir(`${hba}/${name}`, { recursive: true })
  await writeAttribute(`${hba}/${name}/control`, `udev_path=${path}`)
  await writeAttribute(`${hba}/${name}/enable`, 1)
  return {
    name,
    release: async () => {
      await rmdir(`${hba}/${name}`)
      await rmdir(hba)
    },
  }
}

/** Swaps to the device. */
export const swapOn = async (path: string): Promise<Stacked> => {
  await run('mkswap', [path])
  await run('swapon', [path])
  return {
    name: basename(path),
    release: async () => {
      await run('swapoff', [path])
    },
  }
}
