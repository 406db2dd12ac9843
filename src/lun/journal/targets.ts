import { type Iqn, readIqn } from '../../core/iqn.ts'
import type { Files } from '../../host/files.ts'
import {
  EMPTY_TARGET,
  formatKeptEntry,
  formatTargetEntry,
  isEmptyTarget,
  type KeptEntry,
  parseKeptEntry,
  parseTargetEntry,
  type RecordChange,
  type TargetEntry,
} from './entries.ts'
import { folderOf, journalUnreadable, type Store, type UnreadableEntry } from './store.ts'

/** What the journal has of targets. */
export interface TargetJournal {
  /**
   * Callers that change it hold the target's lock.
   *
   * @throws {@link LunError} `JOURNAL_UNREADABLE`
   */
  target(target: Iqn): Promise<TargetEntry>
  /** Its entry, or why that cannot be read: for those who only look, or must not fail. */
  tryTarget(target: Iqn): Promise<TargetEntry | UnreadableEntry>
  /** Whether anything is noted of it, if only a draft of one who was killed. */
  hasTarget(target: Iqn): Promise<boolean>
  /** Adds what is about to be done. @throws {@link LunError} `JOURNAL_UNREADABLE` */
  noteTarget(target: Iqn, more: Partial<Omit<TargetEntry, 'changes'>>): Promise<void>
  /** Adds what is about to be changed in a record that was there. @throws {@link LunError} `JOURNAL_UNREADABLE` */
  noteChange(target: Iqn, change: RecordChange): Promise<void>
  /** Strikes out what is done or gone; changes by the record's path. @throws {@link LunError} `JOURNAL_UNREADABLE` */
  strikeTarget(target: Iqn, gone: Partial<Record<keyof TargetEntry, readonly string[]>>): Promise<void>
  /** Nothing of ours is left there. @throws {@link LunError} `JOURNAL_UNREADABLE` */
  forgetTarget(target: Iqn): Promise<void>
  /** Every target something is noted of, if only in a draft. */
  targets(): Promise<readonly Iqn[]>
  unreadableTargets(): Promise<readonly UnreadableEntry[]>
}

const NOTED = '/run/xen-lun/targets'
/** Node records outlive a boot, and so must whose they are, and what they were. Root's alone: it holds former secrets. */
const KEPT = '/var/lib/xen-lun/records'
const SUFFIX = '.json'

export function createTargetJournal(files: Files, store: Store): TargetJournal {
  const notedPath = (target: Iqn): string => `${NOTED}/${target}${SUFFIX}`
  const keptPath = (target: Iqn): string => `${KEPT}/${target}${SUFFIX}`
  const read = async (
    target: Iqn
  ): Promise<{ readonly noted: TargetEntry; readonly kept: KeptEntry } | UnreadableEntry> => {
    const [notedText, keptText] = [await files.read(notedPath(target)), await files.read(keptPath(target))]
    const noted = parseTargetEntry(notedText, notedText === undefined ? '' : await store.bootId())
    if ('flaw' in noted) return { path: notedPath(target), reason: noted.flaw }
    const kept = parseKeptEntry(keptText)
    if ('flaw' in kept) return { path: keptPath(target), reason: kept.flaw }
    return { noted: noted.entry, kept: kept.entry }
  }
  const tryTarget = async (name: Iqn): Promise<TargetEntry | UnreadableEntry> => {
    const found = await read(name)
    return 'reason' in found ? found : merge(found)
  }
  const change = async (name: Iqn, edit: (now: TargetEntry) => TargetEntry): Promise<void> => {
    const found = await read(name)
    if ('reason' in found) throw journalUnreadable(found)
    const next = edit(merge(found))
    await writeKept(keptPath(name), found.kept, next)
    if (isEmptyTarget(next)) await store.remove(notedPath(name))
    else await store.write(notedPath(name), formatTargetEntry(next, await store.bootId()))
  }
  const writeKept = async (path: string, now: KeptEntry, next: KeptEntry): Promise<void> => {
    const text = formatKeptEntry(next)
    if (next.records.length + next.changes.length === 0) await store.remove(path)
    else if (text === formatKeptEntry(now)) return
    else await store.write(path, text)
    // The rename too: a power cut must not leave the record and take the note.
    await files.sync(folderOf(path))
  }
  return {
    tryTarget,
    target: async name => {
      const found = await tryTarget(name)
      if ('reason' in found) throw journalUnreadable(found)
      return found
    },
    hasTarget: async name => (await store.has(notedPath(name))) || (await store.has(keptPath(name))),
    noteTarget: async (name, { records = [], logins = [], discoveries = [], jobs = {} }) =>
      await change(name, now => ({
        ...now,
        records: [...new Set([...now.records, ...records])],
        logins: [...new Set([...now.logins, ...logins])],
        discoveries: [...new Set([...now.discoveries, ...discoveries])],
        jobs: { ...now.jobs, ...jobs },
      })),
    noteChange: async (name, added) =>
      await change(name, now => {
        const before = now.changes.find(({ path }) => path === added.path)
        const others = now.changes.filter(({ path }) => path !== added.path)
        return { ...now, changes: [...others, before === undefined ? added : mergeChanges(before, added)] }
      }),
    strikeTarget: async (name, { records = [], changes = [], jobs = [], logins = [], discoveries = [] }) =>
      await change(name, now => ({
        records: now.records.filter(record => !records.includes(record)),
        changes: now.changes.filter(({ path }) => !changes.includes(path)),
        logins: now.logins.filter(login => !logins.includes(login)),
        discoveries: now.discoveries.filter(discovery => !discoveries.includes(discovery)),
        jobs: Object.fromEntries(Object.entries(now.jobs).filter(([job]) => !jobs.includes(job))),
      })),
    forgetTarget: async name => await change(name, () => EMPTY_TARGET),
    targets: async () => {
      const lists = [await store.list(NOTED), await store.list(KEPT)]
      const names = new Set(lists.flatMap(({ names: there, drafts }) => [...there, ...drafts]))
      return [...names].map(readTargetName).filter(found => found !== undefined)
    },
    unreadableTargets: async () => {
      const found: UnreadableEntry[] = []
      for (const folder of [NOTED, KEPT]) {
        for (const name of (await store.list(folder)).names) {
          const path = `${folder}/${name}`
          const target = readTargetName(name)
          const entry = target === undefined ? NO_NAME : await read(target)
          if ('reason' in entry && ('path' in entry ? entry.path === path : true)) found.push({ path, ...entry })
        }
      }
      return found
    },
  }
}

const NO_NAME = { reason: 'is not named after a target' }

function merge({ noted, kept }: { readonly noted: TargetEntry; readonly kept: KeptEntry }): TargetEntry {
  return { ...noted, records: [...new Set([...kept.records, ...noted.records])], changes: kept.changes }
}

/**
 * Who changes again what was changed before has the first value to put back, unless somebody else changed it in between.
 * All of our values count, since whoever noted one may have been killed before it was written.
 */
function mergeChanges(earlier: RecordChange, later: RecordChange): RecordChange {
  const former = new Map(earlier.former)
  for (const [name, { before, ours }] of later.former) {
    const known = former.get(name)
    const isOurs = known?.ours.includes(before) === true
    former.set(name, isOurs ? { before: known.before, ours: [...new Set([...known.ours, ...ours])] } : { before, ours })
  }
  return { ...later, former }
}

function readTargetName(name: string): Iqn | undefined {
  return name.endsWith(SUFFIX) ? readIqn(name.slice(0, -SUFFIX.length)) : undefined
}
