import { type Portal, portalKey, readPortalText, samePortal } from '../../core/portal.ts'
import type { TimeWindow } from '../../iscsi/own-record.ts'
import { type DiscoveryEntry, formatDiscoveryEntry, parseDiscoveryEntry } from './record-notes.ts'
import { journalUnreadable, type Store, type UnreadableEntry } from './store.ts'

/** What is noted of a portal's discovery record. */
export interface NotedDiscovery extends DiscoveryEntry {
  /** It is of an earlier boot, so that nobody is at it. */
  readonly isStale: boolean
  /** When a record that was about to be made must have been written. */
  readonly within: TimeWindow
}

/**
 * What the journal has of discovery records. One of a portal belongs to no target: whoever asks the portal changes it, for
 * whichever target, and holds the lock of its discoveries while he does.
 */
export interface DiscoveryJournal {
  /** @throws {@link LunError} `JOURNAL_UNREADABLE`, `PATH_UNSAFE`, as do those below that change it */
  discovery(portal: Portal): Promise<NotedDiscovery | undefined>
  noteDiscovery(entry: DiscoveryEntry): Promise<void>
  forgetDiscovery(portal: Portal): Promise<void>
  /** All that can be read. */
  discoveries(): Promise<readonly NotedDiscovery[]>
  /** Portals of which only a draft of a note is there, by one who was killed. */
  discoveryDrafts(): Promise<readonly Portal[]>
  unreadableDiscoveries(): Promise<readonly UnreadableEntry[]>
}

/** Records outlive a boot, and so must what they were. Root's alone: it holds former secrets. */
const DISCOVERIES = '/var/lib/xen-lun/discoveries'
const SUFFIX = '.json'
const MAX_CHARS = 200
const SHOWN_CHARS = 90
/** How long iscsiadm may take for a record. */
export const MAKING_MS = 5000

export function createDiscoveryJournal(store: Store): DiscoveryJournal {
  const read = async (path: string): Promise<NotedDiscovery | UnreadableEntry | undefined> => {
    const note = await store.read(path)
    if (note === undefined || 'reason' in note) return note
    const found = parseDiscoveryEntry(note.text, await store.bootId())
    if ('flaw' in found) return { path, reason: found.flaw }
    if (pathOf(found.entry.portal) !== path) return { path, reason: 'is not named after its portal' }
    const sinceMs = await store.writtenMs(path)
    return { ...found.entry, isStale: found.isStale, within: { sinceMs, untilMs: sinceMs + MAKING_MS } }
  }
  const discovery = async (portal: Portal): Promise<NotedDiscovery | undefined> => {
    const found = await read(pathOf(portal))
    if (found === undefined) return undefined
    if ('reason' in found) throw journalUnreadable(found)
    if (samePortal(found.portal, portal)) return found
    throw journalUnreadable({ path: pathOf(portal), reason: 'is that of another portal' })
  }
  const readAll = async (): Promise<readonly (NotedDiscovery | UnreadableEntry)[]> => {
    const flaws = await store.flaws(DISCOVERIES)
    if (flaws.some(({ isUnsafe }) => isUnsafe === true)) return flaws
    const { names } = await store.list(DISCOVERIES)
    const found = await Promise.all(names.map(async name => await read(`${DISCOVERIES}/${name}`)))
    return [...flaws, ...found.filter(entry => entry !== undefined)]
  }
  return {
    discovery,
    noteDiscovery: async entry => {
      await discovery(entry.portal)
      const path = pathOf(entry.portal)
      await store.write(path, formatDiscoveryEntry(entry, await store.bootId()))
      await store.sync(DISCOVERIES)
    },
    forgetDiscovery: async portal => {
      await discovery(portal)
      await store.remove(pathOf(portal))
    },
    discoveries: async () => (await readAll()).flatMap(entry => ('reason' in entry ? [] : [entry])),
    discoveryDrafts: async () => {
      const { drafts } = await store.list(DISCOVERIES)
      const found = drafts.map(name => readPortalText(name.slice(0, -SUFFIX.length)))
      return found.filter(portal => typeof portal !== 'string')
    },
    unreadableDiscoveries: async () => (await readAll()).flatMap(entry => ('reason' in entry ? [entry] : [])),
  }
}

/** A name of DNS may be longer than that of a file. */
function pathOf(portal: Portal): string {
  const key = portalKey(portal)
  const name = key.length <= MAX_CHARS ? key : `${key.slice(0, SHOWN_CHARS)}...${key.slice(-SHOWN_CHARS)}`
  return `${DISCOVERIES}/${name}${SUFFIX}`
}
