import type { Files } from '../host/files.ts'
import { parseMountinfo } from './mountinfo.parse.ts'

/** What kind of file system a mount is, of whatever namespace. */
export interface MountTypes {
  /**
   * By the number of the mount, which all namespaces share; undefined where neither we nor `pid`, whose file is there, see
   * it: the kernel's own, or one that was detached.
   */
  typeOf(mount: string, pid: string): Promise<string | undefined>
}

/** Reads our own table, and those of other processes only for mounts that are in none read before. */
export function createMountTypes(files: Files): MountTypes {
  const types = new Map<string, string>()
  const tables = new Map<string, Promise<void>>()
  const readTable = async (pid: string): Promise<void> => {
    const text = await files.read(`/proc/${pid}/mountinfo`).catch(() => undefined)
    for (const { id, fsType } of parseMountinfo(text ?? '')) types.set(id, fsType)
  }
  return {
    typeOf: async (mount, pid) => {
      for (const reader of ['self', pid]) {
        const known = types.get(mount)
        if (known !== undefined) return known
        const table = tables.get(reader) ?? readTable(reader)
        tables.set(reader, table)
        await table
      }
      return types.get(mount)
    },
  }
}
