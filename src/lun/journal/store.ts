import { LunError } from '../../core/error.ts'
import { draftOf, type Files, isDraft, nameOfDraft } from '../../host/files.ts'
import { makeOwnFolder } from '../../host/own-path.ts'

/** Something of the journal that cannot be read. It is not ours to change, and what it says is unknown. */
export interface UnreadableEntry {
  readonly path: string
  /** Completes "PATH …". */
  readonly reason: string
}

/** The journal's files: whole and synced, or not there. */
export interface Store {
  bootId(): Promise<string>
  write(path: string, text: string): Promise<void>
  /** With what a crash left of it. */
  remove(path: string): Promise<void>
  /** Whether it is there, if only as a draft of one who was killed. */
  has(path: string): Promise<boolean>
  /** Names of the entries in a folder, of those that are there, and of those of which only a draft is. */
  list(folder: string): Promise<{ readonly names: readonly string[]; readonly drafts: readonly string[] }>
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id'

export function createStore(files: Files): Store {
  const made = new Set<string>()
  let bootId: string | undefined
  return {
    bootId: async () => {
      const id = bootId ?? ((await files.read(BOOT_ID)) ?? '').trim()
      // Else every entry would be of another boot, and forgotten.
      if (id === '') throw journalUnreadable({ path: BOOT_ID, reason: 'does not tell the boot' })
      bootId = id
      return id
    },
    write: async (path, text) => {
      const folder = folderOf(path)
      if (!made.has(folder)) await makeOwnFolder(files, folder)
      made.add(folder)
      await files.replace(path, text, 0o600)
    },
    remove: async path => {
      await files.remove(path)
      await files.remove(draftOf(path)) // left by a crash
    },
    has: async path =>
      (await Promise.all([path, draftOf(path)].map(async name => await files.stat(name)))).some(
        stat => stat !== undefined
      ),
    list: async folder => {
      const all = await files.list(folder)
      const names = all.filter(name => !isDraft(name))
      const drafts = all.filter(isDraft).map(nameOfDraft)
      return { names, drafts: drafts.filter(name => !names.includes(name)) }
    },
  }
}

export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

export function journalUnreadable({ path, reason }: UnreadableEntry): LunError<'JOURNAL_UNREADABLE'> {
  const text = `${path} ${reason}, so that nobody knows whose it is, and nothing is taken away or written over`
  return new LunError('JOURNAL_UNREADABLE', text, { path, reason })
}
