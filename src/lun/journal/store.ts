import { isLunError, LunError } from '../../core/error.ts'
import { draftOf, type Files, isDraft, nameOfDraft } from '../../host/files.ts'
import { findOwnFolder, makeOwnFolder, whyNotOwnFile } from '../../host/own-path.ts'

/** Something of the journal that cannot be read. It is not ours to change, and what it says is unknown. */
export interface UnreadableEntry {
  readonly path: string
  /** Completes "PATH …". */
  readonly reason: string
  /** A folder in which somebody else could have a hand. */
  readonly isUnsafe?: true
}

/** The journal's files: whole and synced, or not there, in folders of nobody but us and root. */
export interface Store {
  bootId(): Promise<string>
  /** A note's text, or why it cannot be read; undefined where there is none. */
  read(path: string): Promise<{ readonly text: string } | UnreadableEntry | undefined>
  /** When a note was written, on the clock that stamps files. @throws {@link LunError} `JOURNAL_UNREADABLE` */
  writtenMs(path: string): Promise<number>
  write(path: string, text: string): Promise<void>
  /** What was written and removed in a folder, and not only in memory. */
  sync(folder: string): Promise<void>
  /** With what a crash left of it. */
  remove(path: string): Promise<void>
  /** Whether it is there, if only as a draft of one who was killed. @throws {@link LunError} `PATH_UNSAFE` */
  has(path: string): Promise<boolean>
  /**
   * Names of the entries in a folder, of those that are there, and of those of which only a draft is.
   *
   * @throws {@link LunError} `PATH_UNSAFE`
   */
  list(folder: string): Promise<{ readonly names: readonly string[]; readonly drafts: readonly string[] }>
  /** What can be told of a folder, and of drafts in it, without reading an entry. */
  flaws(folder: string): Promise<readonly UnreadableEntry[]>
}

const IS_FOLDER = 'is no file but a folder'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/**
 * The store of one operation: it looks at a folder, and at what a note is, once. Nobody but root can change what is in a
 * folder that was found to be ours.
 */
export function createStore(files: Files): Store {
  const made = new Set<string>()
  let bootId: string | undefined
  const folders = createFolders(files)
  /** Notes that were found to be files. */
  const known = new Set<string>()
  const listIn = async (folder: string): Promise<readonly string[]> => {
    const state = await folders.look(folder)
    if (typeof state === 'object') throw journalUnreadable(state)
    return state === 'ours' ? await files.list(folder) : []
  }
  return {
    bootId: async () => {
      const id = bootId ?? ((await files.read(BOOT_ID)) ?? '').trim()
      // Else every entry would be of another boot, and forgotten.
      if (id === '') throw journalUnreadable({ path: BOOT_ID, reason: 'does not tell the boot' })
      bootId = id
      return id
    },
    read: async path => {
      const state = await folders.look(folderOf(path))
      if (state !== 'ours') return state === 'absent' ? undefined : state
      if (!known.has(path)) {
        const stat = await files.linkStat(path)
        if (stat === undefined) return undefined
        // A link leads elsewhere, and a FIFO keeps whoever reads it for ever.
        const reason = await whyNotOwnFile(files, stat)
        if (reason !== undefined) return { path, reason }
        known.add(path)
      }
      const text = await files.read(path)
      if (text !== undefined) return { text }
      known.delete(path)
      return undefined
    },
    writtenMs: async path => {
      const stat = await files.linkStat(path)
      if (stat === undefined) throw journalUnreadable({ path, reason: 'is gone as soon as it was written' })
      return stat.mtimeMs
    },
    write: async (path, text) => {
      const folder = folderOf(path)
      if (!made.has(folder)) await makeOwnFolder(files, folder)
      made.add(folder)
      await unlessFolder(files, [draftOf(path), path], async () => await files.replace(path, text, 0o600))
    },
    sync: async folder => {
      await files.sync(folder)
    },
    remove: async path => {
      known.delete(path)
      for (const each of [path, draftOf(path)]) await unlessFolder(files, [each], async () => await files.remove(each))
    },
    has: async path => {
      const names = new Set(await listIn(folderOf(path)))
      return [path, draftOf(path)].some(each => names.has(each.slice(folderOf(each).length + 1)))
    },
    list: async folder => {
      const all = await listIn(folder)
      const names = all.filter(name => !isDraft(name))
      const drafts = all.filter(isDraft).map(nameOfDraft)
      return { names, drafts: drafts.filter(name => !names.includes(name)) }
    },
    flaws: async folder => {
      const state = await folders.look(folder)
      if (typeof state === 'object') return [state]
      const drafts = state === 'ours' ? (await files.list(folder)).filter(isDraft) : []
      const found = await Promise.all(
        drafts.map(async (name): Promise<readonly UnreadableEntry[]> => {
          const path = `${folder}/${name}`
          // What else it is goes when the note is written again, or forgotten.
          return (await files.linkStat(path))?.kind === 'directory' ? [{ path, reason: IS_FOLDER }] : []
        })
      )
      return found.flat()
    },
  }
}

type FolderState = 'ours' | 'absent' | UnreadableEntry

/** Remembers of a folder that it is ours; what is not may be mended, and one that is not there be made, at any time. */
function createFolders(files: Files): { look(folder: string): Promise<FolderState> } {
  const looks = new Map<string, Promise<FolderState>>()
  const see = async (folder: string): Promise<FolderState> => {
    try {
      return (await findOwnFolder(files, folder)) ? 'ours' : 'absent'
    } catch (error) {
      if (!isLunError(error, 'PATH_UNSAFE')) throw error
      return { ...error.details, isUnsafe: true }
    }
  }
  return {
    look: async folder => {
      const look = looks.get(folder) ?? see(folder)
      looks.set(folder, look)
      const state = await look.catch(() => undefined)
      if (state !== 'ours') looks.delete(folder)
      return await look
    },
  }
}

/** Does what a folder in the place of a file would refuse, with an error of Node's that names no note. */
async function unlessFolder<T>(files: Files, paths: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    for (const path of paths) {
      if ((await files.linkStat(path))?.kind === 'directory') throw journalUnreadable({ path, reason: IS_FOLDER })
    }
    throw error
  }
}

export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

export function journalUnreadable({
  path,
  reason,
  isUnsafe,
}: UnreadableEntry): LunError<'JOURNAL_UNREADABLE' | 'PATH_UNSAFE'> {
  const text = `${path} ${reason}, so that nobody knows whose it is, and nothing is taken away or written over`
  return new LunError(isUnsafe === true ? 'PATH_UNSAFE' : 'JOURNAL_UNREADABLE', text, { path, reason })
}
