import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const gone = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO', 'ESRCH'])

// The reads are synchronous: they are of small files that are all in memory, and under emulation a trip to a worker
// thread costs more than a hundred of them.

/** Kernel objects and processes may vanish between the listing and the reading; that is not an error. */
const unlessGone = <T>(fallback: T, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && gone.has(String(error.code))) return fallback
    throw error
  }
}

/** The trimmed text of a small file, '' if it is not there. */
export const readText = (path: string): string => unlessGone('', () => readFileSync(path, 'utf8').trim())

/** Where a path leads, '' if it is not there. */
export const resolveLink = (path: string): string => unlessGone('', () => realpathSync.native(path))

/** Sorted names in a directory, none if it is not there. */
export const listNames = (directory: string): string[] => unlessGone([], () => readdirSync(directory).sort())

/** Sorted paths of all plain files below a directory. */
export const listFiles = (directory: string): string[] => {
  const entries = unlessGone([], () => readdirSync(directory, { recursive: true, withFileTypes: true }))
  return entries
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
}

/** Writes an attribute of sysfs or configfs. */
export const writeAttribute = async (path: string, value: string | number): Promise<void> => {
  try {
    await writeFile(path, String(value))
  } catch (cause) {
    throw new Error(`cannot write '${value}' to ${path}: ${String(cause)}`, { cause })
  }
}
