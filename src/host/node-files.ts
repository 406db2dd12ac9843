import {
  type BigIntStats,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import * as fs from 'node:fs/promises'
import { draftOf, type FileStat, type Files, type ReadAtOptions } from './files.ts'
import { openFilesOf } from './node-processes.ts'

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
    openFiles: async pid => openFilesOf(pid),
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

// sysfs, /run and most of /proc answer from memory, at once. Node's thread pool costs several times the call itself, and
// waiting for devices makes a lot of them. So are the small files of open-iscsi, multipath and our own notes read, which
// lie on the host's own disk, and in its memory most of the time. Writes to sysfs do wait for hardware, those to a disk for
// the disk, and stay with the pool; so do links in /proc, which may lead to any file system.
const SMALL = String.raw`(?:var/lib/(?:iscsi|xen-lun)|etc/(?:iscsi|multipath))`
const REALPATH_AT_ONCE = new RegExp(String.raw`^/(?:(?:sys|run|${SMALL})(?:/|$)|proc/self$)`)
const READ_AT_ONCE = new RegExp(String.raw`^/(?:sys|run|proc|${SMALL})/`)
const LINK_AT_ONCE = /^\/(?:sys|run|proc)\//
const LIST_AT_ONCE = new RegExp(String.raw`^/(?:(?:sys|run|${SMALL})(?:/|$)|proc$)`)
// Of a descriptor, whoever asks has made sure that its file system has the open file in memory: see block/open-devices.ts.
const STAT_AT_ONCE = new RegExp(
  String.raw`^/(?:(?:sys|run|dev|${SMALL})(?:/|$)|(?:var(?:/lib)?|etc)$|proc/(?:self|\d+)(?:/ns/\w+|/fd/\d+)?$)`
)
const KEPT_IN_MEMORY = /^\/run\//

async function read(path: string): Promise<string> {
  return READ_AT_ONCE.test(path) ? readFileSync(path, 'utf8') : await fs.readFile(path, 'utf8')
}

async function list(path: string): Promise<readonly string[]> {
  return LIST_AT_ONCE.test(path) ? readdirSync(path) : await fs.readdir(path)
}

async function realpath(path: string): Promise<string> {
  return REALPATH_AT_ONCE.test(path) ? realpathSync.native(path) : await fs.realpath(path)
}

async function stat(path: string): Promise<BigIntStats> {
  return STAT_AT_ONCE.test(path) ? statSync(path, { bigint: true }) : await fs.stat(path, { bigint: true })
}

async function linkStat(path: string): Promise<BigIntStats> {
  return STAT_AT_ONCE.test(path) ? lstatSync(path, { bigint: true }) : await fs.lstat(path, { bigint: true })
}

// What a link of /proc says is made up by the kernel; what it leads to is not looked at.
async function readLink(path: string): Promise<string> {
  return LINK_AT_ONCE.test(path) ? readlinkSync(path) : await fs.readlink(path)
}

async function link(existing: string, path: string): Promise<void> {
  if (KEPT_IN_MEMORY.test(existing)) linkSync(existing, path)
  else await fs.link(existing, path)
}

async function unlink(path: string): Promise<void> {
  if (KEPT_IN_MEMORY.test(path)) unlinkSync(path)
  else await fs.unlink(path)
}

const { O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
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

async function readAt(
  path: string,
  offset: number,
  length: number,
  { isDirect = false }: ReadAtOptions = {}
): Promise<Uint8Array> {
  const file = await fs.open(path, isDirect ? O_RDONLY | O_DIRECT : O_RDONLY)
  try {
    const { buffer, bytesRead } = await file.read(isDirect ? pages(length) : Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Node has it; the types of Node 20 do not. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}
const WASM_PAGE_BYTES = 65_536

/** Memory that begins on a page, as O_DIRECT wants it; that of a Buffer begins anywhere. */
function pages(length: number): Uint8Array {
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil(length / WASM_PAGE_BYTES) })
  return new Uint8Array(buffer, 0, length)
}

async function isClaimed(path: string): Promise<boolean | undefined> {
  try {
    // Without blocking for what is no block device but a FIFO; a block device does not care.
    const file = await fs.open(path, O_RDONLY | O_EXCL | O_NONBLOCK)
    await file.close()
    return false
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'EBUSY') return true
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    // bdev_open() in block/bdev.c claims first, and asks the driver then: these are a driver's answers.
    if (NO_ANSWER.includes(code)) return false
    throw error
  }
}

const NO_ANSWER = ['ENXIO', 'EIO', 'ENODEV', 'ENOMEDIUM', 'ETIMEDOUT', 'EREMOTEIO', 'ENOLINK']

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

async function replace(path: string, text: string, mode: number, scratch?: string): Promise<void> {
  const draft = draftOf(path, scratch)
  if (KEPT_IN_MEMORY.test(path) && KEPT_IN_MEMORY.test(draft)) {
    replaceInMemory(path, draft, text, mode)
    return
  }
  // Left by a crash. A new file, because only a new one surely has the mode.
  await fs.rm(draft, { force: true })
  const file = await fs.open(draft, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
    await file.close()
    await fs.rename(draft, path)
  } catch (error) {
    await file.close().catch(() => {})
    await fs.rm(draft, { force: true })
    throw error
  }
}

function replaceInMemory(path: string, draft: string, text: string, mode: number): void {
  rmSync(draft, { force: true })
  try {
    const file = openSync(draft, 'wx', mode)
    try {
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
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

function toFileStat(stat: BigIntStats): FileStat {
  // gnu_dev_major and gnu_dev_minor, glibc sys/sysmacros.h
  const major = Number(((stat.rdev >> 8n) & 0xfffn) | ((stat.rdev >> 32n) & ~0xfffn))
  const minor = Number((stat.rdev & 0xffn) | ((stat.rdev >> 12n) & ~0xffn))
  return {
    kind: kindOf(stat),
    sizeBytes: Number(stat.size),
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    mtimeMs: Number(stat.mtimeMs),
    inode: Number(stat.ino),
    device: { major, minor },
  }
}

function kindOf(stat: BigIntStats): FileStat['kind'] {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isBlockDevice()) return 'block'
  return stat.isSymbolicLink() ? 'link' : 'other'
}
