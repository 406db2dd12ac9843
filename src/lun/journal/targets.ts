import { type Iqn, readIqn } from '../../core/iqn.ts'
import { EMPTY_TARGET, formatTargetEntry, isEmptyTarget, parseTargetEntry, type TargetEntry } from './entries.ts'
import { formatKeptEntry, type KeptEntry, mergeChanges, parseKeptEntry, type RecordChange } from './record-notes.ts'
import { folderOf, journalUnreadable, type Store, type UnreadableEntry } from './store.ts'

type Jobs = TargetEntry['jobs']

/** What is done or gone: intents by their endpoints, changes by the record's path. */
export type Done = Partial<Record<'intents' | 'changes' | 'logins' | 'jobs', readonly string[]>>

/** What the journal has of targets. */
export interface TargetJournal {
  /**
   * Callers that change it hold the target's lock.
   *
   * @throws {@link LunError} `JOURNAL_UNREADABLE`, `PATH_UNSAFE`, as do those below that change it
   */
  target(target: Iqn): Promise<TargetEntry>
  /** Its entry, or why that cannot be read: for those who only look, or must not fail. */
  tryTarget(target: Iqn): Promise<TargetEntry | UnreadableEntry>
  /** Whether anything is noted of it, if only a draft of one who was killed. */
  hasTarget(target: Iqn): Promise<boolean>
  /** Whether its records are noted where a boot would forget them, as earlier versions did. */
  hasFormerNotes(target: Iqn): Promise<boolean>
  /** Notes them where a boot does not. */
  moveFormerNotes(target: Iqn): Promise<void>
  /** Adds what is about to be done. */
  noteTarget(target: Iqn, more: Partial<Pick<TargetEntry, 'logins' | 'jobs'>>): Promise<void>
  /** Adds node records that are about to be made, within this time. */
  noteIntents(target: Iqn, endpoints: readonly string[], jobs: Jobs, withinMs: number): Promise<void>
  /** Adds the node records that were made before anything is changed in them, and strikes out what is done. */
  noteMade(target: Iqn, made: readonly RecordChange[], done: Done): Promise<void>
  /** Adds what is about to be changed in a record that was there. */
  noteChange(target: Iqn, change: RecordChange): Promise<void>
  /** Strikes out what is done or gone. */
  strikeTarget(target: Iqn, done: Done): Promise<void>
  /** Nothing of ours is left there. */
  forgetTarget(target: Iqn): Promise<void>
  /** Every target something is noted of, if only in a draft. */
  targets(): Promise<readonly Iqn[]>
  unreadableTargets(): Promise<readonly UnreadableEntry[]>
}

const NOTED = '/run/xen-lun/targets'
/** Node records outlive a boot, and so must whose they are, and what they were. Root's alone: it holds former secrets. */
const KEPT = '/var/lib/xen-lun/records'
const SUFFIX = '.json'
/** The coarsest time that a file system stamps files with. */
const STAMP_MS = 1000

/** Both entries of a target, and the texts they were read from. */
interface Found {
  readonly noted: TargetEntry
  readonly notedText: string | undefined
  readonly kept: KeptEntry
  readonly keptText: string | undefined
}

export function createTargetJournal(store: Store): TargetJournal {
  const notedPath = (target: Iqn): string => `${NOTED}/${target}${SUFFIX}`
  const keptPath = (target: Iqn): string => `${KEPT}/${target}${SUFFIX}`
  const read = async (target: Iqn): Promise<Found | UnreadableEntry> => {
    const [notedNote, keptNote] = [await store.read(notedPath(target)), await store.read(keptPath(target))]
    if (notedNote !== undefined && 'reason' in notedNote) return notedNote
    if (keptNote !== undefined && 'reason' in keptNote) return keptNote
    const [notedText, keptText] = [notedNote?.text, keptNote?.text]
    const noted = parseTargetEntry(notedText, notedText === undefined ? '' : await store.bootId())
    if ('flaw' in noted) return { path: notedPath(target), reason: noted.flaw }
    const kept = parseKeptEntry(keptText)
    if ('flaw' in kept) return { path: keptPath(target), reason: kept.flaw }
    return { noted: noted.entry, notedText, kept, keptText }
  }
  const tryTarget = async (name: Iqn): Promise<TargetEntry | UnreadableEntry> => {
    const found = await read(name)
    return 'reason' in found ? found : merge(found)
  }
  const change = async (name: Iqn, edit: (now: TargetEntry) => TargetEntry): Promise<void> => {
    const found = await read(name)
    if ('reason' in found) throw journalUnreadable(found)
    const next = edit(merge(found))
    await writeKept(keptPath(name), found.keptText, next)
    if (isEmptyTarget(next)) await store.remove(notedPath(name))
    else {
      const text = formatTargetEntry(next, await store.bootId())
      if (text !== found.notedText) await store.write(notedPath(name), text)
    }
  }
  const writeKept = async (path: string, now: string | undefined, next: KeptEntry): Promise<void> => {
    const text = formatKeptEntry(next)
    if (next.intents.length + next.changes.length === 0) await store.remove(path)
    else if (text === now) return
    else await store.write(path, text)
    // The rename too: a power cut must not leave the record and take the note.
    await store.sync(folderOf(path))
  }
  const strike = (now: TargetEntry, { intents = [], changes = [], jobs = [], logins = [] }: Done): TargetEntry => ({
    intents: now.intents.filter(({ endpoint }) => !intents.includes(endpoint)),
    changes: now.changes.filter(({ path }) => !changes.includes(path)),
    logins: now.logins.filter(login => !logins.includes(login)),
    jobs: Object.fromEntries(Object.entries(now.jobs).filter(([job]) => !jobs.includes(job))),
  })
  const noteTarget: TargetJournal['noteTarget'] = async (name, { logins = [], jobs = {} }) =>
    await change(name, now => ({
      ...now,
      logins: [...new Set([...now.logins, ...logins])],
      jobs: { ...now.jobs, ...jobs },
    }))
  return {
    tryTarget,
    target: async name => {
      const found = await tryTarget(name)
      if ('reason' in found) throw journalUnreadable(found)
      return found
    },
    hasTarget: async name => (await store.has(notedPath(name))) || (await store.has(keptPath(name))),
    hasFormerNotes: async name => {
      const found = await read(name)
      return !('reason' in found) && found.noted.intents.length > 0
    },
    moveFormerNotes: async name => await change(name, now => now),
    noteTarget,
    noteIntents: async (name, endpoints, jobs, withinMs) => {
      await noteTarget(name, { jobs })
      // Whose clock stamps the records, stamps this note.
      const sinceMs = Math.max(0, (await store.writtenMs(notedPath(name))) - STAMP_MS)
      const within = { sinceMs, untilMs: sinceMs + STAMP_MS + withinMs }
      await change(name, now => ({
        ...now,
        intents: [
          ...now.intents.filter(({ endpoint }) => !endpoints.includes(endpoint)),
          ...endpoints.map(endpoint => ({ endpoint, within })),
        ],
      }))
    },
    noteMade: async (name, made, done) =>
      await change(name, now => {
        const next = strike(now, { ...done, changes: [...(done.changes ?? []), ...made.map(({ path }) => path)] })
        return { ...next, changes: [...next.changes, ...made] }
      }),
    noteChange: async (name, added) =>
      await change(name, now => {
        const before = now.changes.find(({ path }) => path === added.path)
        const others = now.changes.filter(({ path }) => path !== added.path)
        return { ...now, changes: [...others, before === undefined ? added : mergeChanges(before, added)] }
      }),
    strikeTarget: async (name, done) => await change(name, now => strike(now, done)),
    forgetTarget: async name => await change(name, () => EMPTY_TARGET),
    targets: async () => {
      const lists = [await store.list(NOTED), await store.list(KEPT)]
      const names = new Set(lists.flatMap(({ names: there, drafts }) => [...there, ...drafts]))
      return [...names].map(readTargetName).filter(found => found !== undefined)
    },
    unreadableTargets: async () => {
      const found: UnreadableEntry[] = []
      for (const folder of [NOTED, KEPT]) {
        const flaws = await store.flaws(folder)
        found.push(...flaws)
        if (flaws.some(({ isUnsafe }) => isUnsafe === true)) continue
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

/** Intents of an earlier version, in the entry that a boot ends, belong with those that are kept. */
function merge({ noted, kept }: Pick<Found, 'noted' | 'kept'>): TargetEntry {
  const others = noted.intents.filter(({ endpoint }) => !kept.intents.some(intent => intent.endpoint === endpoint))
  return { ...noted, intents: [...kept.intents, ...others], changes: kept.changes }
}

function readTargetName(name: string): Iqn | undefined {
  return name.endsWith(SUFFIX) ? readIqn(name.slice(0, -SUFFIX.length)) : undefined
}
