import {
  type BigIntStats,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import * as fs from 'node:fs/promises'

// sysfs, /run and most of /proc answer from memory, at once. Node's thread pool costs several times the call itself, and
// waiting for devices makes a lot of them. So are the small files of open-iscsi, multipath and our own notes read, which
// lie on the host's own disk, and in its memory most of the time. Writes to sysfs do wait for hardware, those to a disk for
// the disk, and stay with the pool; so do links in /proc, which may lead to any file system.
const SMALL = String.raw`(?:var/lib/(?:iscsi|xen-lun)|etc/(?:iscsi|multipath))`
const REALPATH_AT_ONCE = new RegExp(String.raw`^/(?:(?:sys|run|${SMALL})(?:/|$)|proc/self$)`)
const READ_AT_ONCE = new RegExp(String.raw`^/(?:sys|run|proc|${SMALL})/`)
const LINK_AT_ONCE = /^\/(?:sys|run|proc)\//
const LIST_AT_ONCE = new RegExp(String.raw`^/(?:(?:sys|run|${SMALL})(?:/|$)|proc$)`)
const STAT_AT_ONCE = new RegExp(
  String.raw`^/(?:(?:sys|run|dev|${SMALL})(?:/|$)|(?:var(?:/lib)?|etc)$|proc/(?:self|\d+)(?:/ns/\w+)?$)`
)
const KEPT_IN_MEMORY = /^\/run\//

/** Whether a file is kept in memory, so that what is done to it takes no time. */
export function isKeptInMemory(path: string): boolean {
  return KEPT_IN_MEMORY.test(path)
}

export async function read(path: string): Promise<string> {
  return READ_AT_ONCE.test(path) ? readFileSync(path, 'utf8') : await fs.readFile(path, 'utf8')
}

export async function list(path: string): Promise<readonly string[]> {
  return LIST_AT_ONCE.test(path) ? readdirSync(path) : await fs.readdir(path)
}

export async function realpath(path: string): Promise<string> {
  return REALPATH_AT_ONCE.test(path) ? realpathSync.native(path) : await fs.realpath(path)
}

export async function stat(path: string): Promise<BigIntStats> {
  return STAT_AT_ONCE.test(path) ? statSync(path, { bigint: true }) : await fs.stat(path, { bigint: true })
}

export async function linkStat(path: string): Promise<BigIntStats> {
  return STAT_AT_ONCE.test(path) ? lstatSync(path, { bigint: true }) : await fs.lstat(path, { bigint: true })
}

// What a link of /proc says is made up by the kernel; what it leads to is not looked at.
export async function readLink(path: string): Promise<string> {
  return LINK_AT_ONCE.test(path) ? readlinkSync(path) : await fs.readlink(path)
}

export async function link(existing: string, path: string): Promise<void> {
  if (isKeptInMemory(existing)) linkSync(existing, path)
  else await fs.link(existing, path)
}

export async function unlink(path: string): Promise<void> {
  if (isKeptInMemory(path)) unlinkSync(path)
  else await fs.unlink(path)
}
