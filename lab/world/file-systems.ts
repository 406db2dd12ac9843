import { mkdtemp, rmdir } from 'node:fs/promises'
import { run } from './run.ts'

export interface MountedDevice {
  readonly mountPoint: string
  readonly release: () => Promise<void>
}

const sizeKiB = '8192'

/** Makes a small file system on the device and mounts it. */
export const mountDevice = async (path: string): Promise<MountedDevice> => {
  await run('busybox', ['mke2fs', '-F', path, sizeKiB])
  const mountPoint = await mkdtemp('/tmp/mounted-')
  await run('mount', ['-t', 'ext2', path, mountPoint])
  return {
    mountPoint,
    release: async () => {
      await run('umount', [mountPoint])
      await rmdir(mountPoint)
    },
  }
}
