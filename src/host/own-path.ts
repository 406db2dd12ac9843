import { isLunError, LunError } from '../core/error.ts'
import type { FileStat, Files } from './files.ts'

/** Who else may have a hand in a folder. */
export interface OwnFolderOptions {
  /** Permissions by which somebody else could change what is in it. Default: those of group and others. */
  readonly foreign?: number
}

const GROUP_AND_OTHERS = 0o022
const STICKY = 0o1000
const ROOT = 0

/**
 * Makes a folder in which nobody but us and root can change anything, with its parents. One that somebody else made, or may
 * write to, is refused: he could put a link where a file of ours is to be, or take a lock away.
 *
 * @throws {@link LunError} `PATH_UNSAFE`
 */
export async function makeOwnFolder(files: Files, path: string, options?: OwnFolderOptions): Promise<void> {
  if (await findOwnFolder(files, path, options)) return
  await files.makeDirectory(path, 0o700)
  // Where anybody may make folders somebody may have been quicker.
  if (!(await findOwnFolder(files, path, options))) throw unsafe(path, 'was removed as soon as it was made')
}

/** Whether there is such a folder, whatever else is in its place. */
export async function isOwnFolder(files: Files, path: string, options?: OwnFolderOptions): Promise<boolean> {
  return await orUnsafe(async () => await findOwnFolder(files, path, options))
}

/**
 * Whether there is such a folder.
 *
 * @throws {@link LunError} `PATH_UNSAFE` where something else is in its place
 */
export async function findOwnFolder(
  files: Files,
  path: string,
  { foreign = GROUP_AND_OTHERS }: OwnFolderOptions = {}
): Promise<boolean> {
  const names = path.split('/').filter(name => name !== '')
  const folders = names.map((_, n) => `/${names.slice(0, n + 1).join('/')}`)
  const stats = await Promise.all(folders.map(async name => await files.linkStat(name)))
  const isAllRoots = stats.every(stat => stat === undefined || stat.uid === ROOT)
  const uid = isAllRoots ? ROOT : await ownUid(files)
  let isShared = false
  for (const [n, folder] of folders.entries()) {
    const stat = stats[n]
    if (stat === undefined) return false
    const isLast = n === folders.length - 1
    // Above it root may have put a link, if nobody else could.
    const isKind = stat.kind === 'directory' || (stat.kind === 'link' && !isLast && !isShared)
    if (!isKind) throw unsafe(folder, `is no folder but ${NAMES[stat.kind]}`)
    // In a folder that is sticky everybody may make folders, but not take the place of one that is there.
    isShared = stat.kind === 'directory' && (stat.mode & STICKY) !== 0
    const reason = strangerTo(
      stat,
      uid,
      stat.kind === 'link' || (isShared && !isLast) ? 0 : isLast ? foreign : GROUP_AND_OTHERS
    )
    if (reason !== undefined) throw unsafe(folder, reason)
  }
  return true
}

/**
 * What a file of ours is, without following a link or waiting at a FIFO; undefined when there is none.
 *
 * @throws {@link LunError} `PATH_UNSAFE` for what is no file, or somebody else's
 */
export async function findOwnFile(files: Files, path: string): Promise<FileStat | undefined> {
  const stat = await files.linkStat(path)
  if (stat === undefined) return undefined
  const reason = await whyNotOwnFile(files, stat)
  if (reason !== undefined) throw unsafe(path, reason)
  return stat
}

/** Completes "PATH …" for what is no file, or somebody else's; undefined for one of ours. The last link is not followed. */
export async function whyNotOwnFile(files: Files, stat: FileStat): Promise<string | undefined> {
  if (stat.kind !== 'file') return `is no file but ${NAMES[stat.kind]}`
  return stat.uid === ROOT ? undefined : strangerTo(stat, await ownUid(files), 0)
}

/** Whether there is such a file. */
export async function isOwnFile(files: Files, path: string): Promise<boolean> {
  return await orUnsafe(async () => (await findOwnFile(files, path)) !== undefined)
}

async function orUnsafe(look: () => Promise<boolean>): Promise<boolean> {
  try {
    return await look()
  } catch (error) {
    if (isLunError(error, 'PATH_UNSAFE')) return false
    throw error
  }
}

const NAMES: Readonly<Record<FileStat['kind'], string>> = {
  file: 'a file',
  directory: 'a folder',
  block: 'a block device',
  link: 'a symbolic link',
  other: 'a FIFO, a socket or a device',
}

function strangerTo({ uid: owner, mode }: FileStat, uid: number, foreign: number): string | undefined {
  if (owner !== uid && owner !== ROOT) return `belongs to user ${owner}`
  return (mode & foreign) === 0 ? undefined : `can be written by others (mode ${mode.toString(8)})`
}

/** Root's, where /proc does not say whose this process is. */
async function ownUid(files: Files): Promise<number> {
  return (await files.stat('/proc/self'))?.uid ?? ROOT
}

function unsafe(path: string, reason: string): LunError<'PATH_UNSAFE'> {
  return new LunError('PATH_UNSAFE', `${path} ${reason}; nothing of ours goes there until it is removed`, {
    path,
    reason,
  })
}
