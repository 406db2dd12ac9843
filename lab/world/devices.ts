import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Holder } from '../../test/scenarios/world.ts'

/** Reads what a new user of the device would. */
export const readDevice = async (path: string, offset: number, length: number): Promise<Uint8Array> => {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
  return buffer.subarray(0, bytesRead)
}

/** Resolves when the data is on the device. */
export const writeDevice = async (path: string, offset: number, data: Uint8Array): Promise<void> => {
  await using file = await open(path, 'r+')
  await file.write(data, 0, data.length, offset)
  await file.sync()
}

export const holdDevice = async (path: string): Promise<Holder> => {
  const file = await open(path, 'r')
  return { pid: process.pid, release: async () => await file.close() }
}

/** Whether the kernel refuses the device to one who wants it alone, asked without the library. */
export const isClaimed = async (path: string): Promise<boolean> => {
  try {
    await using _alone = await open(path, constants.O_RDONLY | constants.O_EXCL)
    return false
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return true
    throw error
  }
}

const headBytes = 1024 * 1024

/** Clears the beginning of the device, where all users write what they are known by, so that the next finds nothing. */
export const wipeDevice = async (path: string): Promise<void> => {
  await writeDevice(path, 0, Buffer.alloc(headBytes))
}
