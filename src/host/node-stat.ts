import type { BigIntStats } from 'node:fs'
import type { FileStat } from './files.ts'

/** What a file is, as the port has it. */
export function toFileStat(stat: BigIntStats): FileStat {
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
