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
