import type { Files } from '../host/files.ts'
import { parseUdevRecord, type UdevRecord } from './udev.parse.ts'

/** udev's record of a block device; undefined until udev has seen it. */
export async function readUdevRecord(files: Files, major: number, minor: number): Promise<UdevRecord | undefined> {
  const text = await files.read(`/run/udev/data/b${major}:${minor}`)
  return text === undefined ? undefined : parseUdevRecord(text)
}
