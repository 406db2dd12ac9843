import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import type { FileStat, OpenFile } from './files.ts'
import { toFileStat } from './node-stat.ts'

const SLASH = 0x2f
const MOUNT = 'mnt_id:'

/** As {@link Files.openFiles} wants it. Turns of the thread pool would cost more than all of it. */
export function openFilesOf(pids: readonly string[]): readonly OpenFile[] {
  // Since Linux 6.2 the size of the folder is how many files there are. Before it was 0, of this process, too.
  const isCounted = (countOf('self') ?? 0) > 0
  // Most processes of a host are threads of its kernel, and have nothing open.
  return pids.flatMap(pid => (isCounted && countOf(pid) === 0 ? [] : filesOf(pid)))
}

function countOf(pid: string): number | undefined {
  return orNothing(() => statSync(`/proc/${pid}/fd`, { throwIfNoEntry: false })?.size)
}

function filesOf(pid: string): readonly OpenFile[] {
  const found: OpenFile[] = []
  for (const descriptor of orNothing(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const path = orNothing(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`)) ?? ''
    if (path.charCodeAt(0) !== SLASH) continue
    const info = orNothing(() => readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'))
    found.push({ pid, descriptor, path, mount: info === undefined ? undefined : mountIn(info) })
  }
  return found
}

/** As {@link Files.statOpen} wants it: a look at all processes asks of thousands. */
export async function statOpenFile(pid: string, descriptor: string): Promise<FileStat> {
  return toFileStat(statSync(`/proc/${pid}/fd/${descriptor}`, { bigint: true }))
}

/**
 * A process ends, and closes what it has open, at any moment; and of some the kernel tells nobody. Any other failure, such as
 * too many open files, is none of the process.
 */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (error instanceof Error && 'code' in error && SECRETIVE.includes(String(error.code))) return undefined
    throw error
  }
}

const SECRETIVE = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM']

/** Reads `mnt_id:	27`. */
function mountIn(info: string): string | undefined {
  const at = info.indexOf(MOUNT)
  if (at < 0) return undefined
  const end = info.indexOf('\n', at)
  return info.slice(at + MOUNT.length, end < 0 ? undefined : end).trim()
}
