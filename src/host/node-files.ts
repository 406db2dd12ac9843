import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import type { Files } from './files.ts'
import { isClaimed, readAt } from './node-devices.ts'
import { link, linkStat, list, read, readLink, realpath, stat, unlink } from './node-memory.ts'
import { openFilesOf, statOpenFile } from './node-processes.ts'
import { replace } from './node-replace.ts'
import { toFileStat } from './node-stat.ts'

/** Files of this machine. */
export function createNodeFiles(): Files {
  return {
    read: async path => await unlessCode(read(path), path.startsWith('/sys/') ? ABSENT_IN_SYSFS : ABSENT, undefined),
    readAt,
    list: async path => (await unlessAbsent(list(path), [])).toSorted(byName),
    readLink: async path => await unlessCode(readLink(path), [...ABSENT, 'EINVAL'], undefined),
    realpath: async path => await unlessAbsent(realpath(path), undefined),
    stat: async path => await unlessAbsent(stat(path).then(toFileStat), undefined),
    linkStat: async path => await unlessAbsent(linkStat(path).then(toFileStat), undefined),
    openFiles: async pids => openFilesOf(pids),
    statOpen: async (pid, descriptor) => await unlessAbsent(statOpenFile(pid, descriptor), undefined),
    isClaimed,
    write: async (path, text) => await unlessAbsent(writeInPlace(path, text), false),
    replace,
    link: async (existing, path) => await unlessCode(link(existing, path).then(yes), ['EEXIST'], false),
    remove: async path => await unlessAbsent(unlink(path).then(yes), false),
    makeDirectory: async (path, mode) => {
      await fs.mkdir(path, { recursive: true, mode })
    },
    removeDirectory: async path =>
      await unlessCode(fs.rmdir(path).then(yes), [...ABSENT, 'ENOTEMPTY', 'EEXIST'], false),
    sync: async path => await unlessAbsent(sync(path), false),
    withDescriptor: async (path, use) => {
      const file = await fs.open(path, APPEND_NOT_THROUGH_LINKS, 0o600)
      try {
        return await use(file.fd)
      } finally {
        await file.close()
      }
    },
  }
}

// ENODEV, ENXIO: a sysfs attribute or device node whose device went away after it was opened.
const ABSENT = ['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO']
// And an attribute that has nothing to tell, such as those of a map that is being removed: dm_attr_show() in drivers/md/dm-sysfs.c.
const ABSENT_IN_SYSFS = [...ABSENT, 'EINVAL']

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
const APPEND_NOT_THROUGH_LINKS = O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW

const byName = (a: string, b: string): number => (a < b ? -1 : 1)

const yes = (): true => true

async function unlessAbsent<T, A>(work: Promise<T>, absent: A): Promise<T | A> {
  return await unlessCode(work, ABSENT, absent)
}

async function unlessCode<T, A>(work: Promise<T>, codes: readonly string[], answer: A): Promise<T | A> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return answer
    throw error
  }
}

// One write(2), no truncation, no creation: the way of sysfs.
async function writeInPlace(path: string, text: string): Promise<true> {
  const file = await fs.open(path, 'r+').catch(async (error: unknown) => {
    // Attributes such as `delete` and `rescan` are write-only.
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return await fs.open(path, 'w')
    throw error
  })
  try {
    await file.write(text)
    return true
  } finally {
    await file.close()
  }
}

async function sync(path: string): Promise<true> {
  const file = await fs.open(path, 'r')
  try {
    await file.sync()
    return true
  } finally {
    await file.close()
  }
}
