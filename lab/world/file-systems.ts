import { mkdtemp, rmdir } from 'node:fs/promises'
import { startCommand } from './children.ts'
import { readText } from './files.ts'
import { run } from './run.ts'
import { until } from './until.ts'

export interface MountedDevice {
  readonly mountPoint: string
  readonly release: () => Promise<void>
}

const sizeKiB = '8192'

// ext4 mounts what is made as ext2.
const makeExt = async (path: string): Promise<string> => await run('busybox', ['mke2fs', '-F', path, sizeKiB])
const makers = {
  ext2: makeExt,
  ext4: makeExt,
  // Data and metadata in the same place, or it would take more than the LUN has.
  btrfs: async (path: string): Promise<string> => await run('mkfs.btrfs', ['--force', '--quiet', '--mixed', path]),
} as const

export type FileSystem = keyof typeof makers

const makeMountPoint = async (): Promise<string> => await mkdtemp('/tmp/mounted-')

/** Makes a small file system on the device and mounts it. */
export const mountDevice = async (path: string, type: FileSystem = 'ext2'): Promise<MountedDevice> => {
  await makers[type](path)
  const mountPoint = await makeMountPoint()
  await run('mount', ['-t', type, path, mountPoint])
  return {
    mountPoint,
    release: async () => {
      await run('umount', [mountPoint])
      await rmdir(mountPoint)
    },
  }
}

/** The same for one process only, whose mounts nobody else sees, as a container's. */
export const mountElsewhere = async (path: string): Promise<MountedDevice> => {
  await makers.ext4(path)
  const mountPoint = await makeMountPoint()
  const script = 'mount -t ext4 "$0" "$1" && exec sleep 600'
  const child = await startCommand('unshare', ['--mount', 'sh', '-c', script, path, mountPoint])
  const isMounted = (): boolean => readText(`/proc/${child.pid}/mountinfo`).includes(` ${mountPoint} `)
  await until('the mount of another process', isMounted)
  return {
    mountPoint,
    release: async () => {
      await child.kill()
      await rmdir(mountPoint)
    },
  }
}
