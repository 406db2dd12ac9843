import { type Portal, portalKey, readPortalText } from '../../core/portal.ts'
import { isLent, type LentCredentials, lentCredentials, mergeLent } from '../../iscsi/lent-credentials.ts'
import type { FormerSettings } from '../../iscsi/node-db.ts'
import type { RecordNote, TimeWindow } from '../../iscsi/own-record.ts'
import { isSecretSetting } from '../../iscsi/record-settings.ts'
import type { RecordStamp } from '../../iscsi/standing-record.ts'
import {
  entriesOf,
  type Fields,
  formatEntry,
  isObject,
  isStrings,
  isTime,
  listOf,
  NO_BOOT,
  type Parsed,
  parseEntry,
} from './entry-text.ts'

/** A node record that is about to be made; once it is there its file is noted, as a change. */
export interface RecordIntent {
  /** See `endpointKey`. */
  readonly endpoint: string
  /** When its file must have been written to be ours. Earlier versions noted endpoints only, and for good. */
  readonly within?: TimeWindow | undefined
}

/** What this library did to a node record, former secrets included; `made` is one that it made. */
export interface RecordChange extends RecordNote {
  /** See `endpointKey`. */
  readonly endpoint: string
}

/** What is kept of a target's node records where a boot does not reach it. */
export interface KeptEntry {
  readonly intents: readonly RecordIntent[]
  readonly changes: readonly RecordChange[]
}

/** What is done to the discovery record of a portal for the time of a question. */
export interface DiscoveryEntry {
  readonly portal: Portal
  /** Who asks, see `formatProcessId`. */
  readonly process: string
  /** Undefined while a record is about to be made. */
  readonly note?: RecordNote | undefined
  /** The host's uptime when what is about to be made must be there. */
  readonly untilMs: number
}

export const EMPTY_KEPT: KeptEntry = { intents: [], changes: [] }

/** The first one did not tell what is about to be made from what was made, and had no files of the latter. */
const KEPT_VERSION = 2

/** What is noted of a target's node records; without a text, nothing. */
export function parseKeptEntry(text: string | undefined): Parsed<KeptEntry> {
  if (text === undefined) return EMPTY_KEPT
  const value = parseEntry(text, KEPT_VERSION)
  if (typeof value === 'string') return { flaw: value }
  const { version, records, intents, changes } = value
  const noted = version === KEPT_VERSION ? listOf(intents, readIntent) : readEndpoints(records)
  if (noted === undefined) return { flaw: 'has no list of records' }
  const known = listOf(changes, readChange)
  return known === undefined ? { flaw: 'has no list of changes' } : { intents: noted, changes: known }
}

export function formatKeptEntry({ intents, changes }: KeptEntry): string {
  return formatEntry({ intents, changes: changes.map(formatNote) }, KEPT_VERSION)
}

/** What is noted of a portal's discovery record; `isStale` when it is of an earlier boot, so that nobody is at it. */
export function parseDiscoveryEntry(
  text: string,
  bootId: string
): Parsed<{ readonly entry: DiscoveryEntry; readonly isStale: boolean }> {
  const value = parseEntry(text)
  if (typeof value === 'string') return { flaw: value }
  const { bootId: boot, portal: at, process, note: noted, untilMs } = value
  if (typeof boot !== 'string' || boot === '') return { flaw: NO_BOOT }
  const portal = typeof at === 'string' ? readPortalText(at) : 'none'
  if (typeof portal === 'string') return { flaw: 'does not say of which portal it is' }
  if (typeof process !== 'string' || !isTime(untilMs)) return { flaw: 'does not say who asks' }
  const note = noted === undefined ? undefined : readNote(noted)
  if (noted !== undefined && note === undefined) return { flaw: 'does not say what was changed' }
  return { entry: { portal, process, note, untilMs }, isStale: boot !== bootId }
}

export function formatDiscoveryEntry({ portal, process, note, untilMs }: DiscoveryEntry, bootId: string): string {
  const changed = note === undefined ? undefined : formatNote(note)
  return formatEntry({ bootId, portal: portalKey(portal), process, untilMs, note: changed })
}

/** Endpoints, as earlier versions noted them. */
export function readEndpoints(value: unknown): readonly RecordIntent[] | undefined {
  return isStrings(value) ? value.map(endpoint => ({ endpoint })) : undefined
}

function readIntent(item: unknown): RecordIntent | undefined {
  if (!isObject(item) || typeof item['endpoint'] !== 'string') return undefined
  const { endpoint, within } = item
  if (within === undefined) return { endpoint }
  if (!isObject(within)) return undefined
  const { sinceMs, untilMs } = within
  return isTime(sinceMs) && isTime(untilMs) ? { endpoint, within: { sinceMs, untilMs } } : undefined
}

function readChange(item: unknown): RecordChange | undefined {
  const note = readNote(item)
  if (note === undefined || !isObject(item) || typeof item['endpoint'] !== 'string') return undefined
  return { ...note, endpoint: item['endpoint'] }
}

function formatNote({ former, lent, ...note }: RecordNote): object {
  return {
    ...note,
    former: Object.fromEntries(former),
    ...(lent !== undefined && { lent: { former: Object.fromEntries(lent.former), traces: lent.traces } }),
  }
}

function readNote(item: unknown): RecordNote | undefined {
  if (!isObject(item)) return undefined
  const { path, former: noted, made, lent } = item
  const former = readFormer(noted)
  if (typeof path !== 'string' || former === undefined) return undefined
  const credentials = lent === undefined ? undefined : readLent(lent)
  if (lent !== undefined && credentials === undefined) return undefined
  const note = { path, former, ...(credentials !== undefined && { lent: credentials }) }
  if (made === undefined) return note
  const stamp = readStamp(made)
  return stamp === undefined ? undefined : { ...note, made: stamp }
}

function readFormer(value: unknown): FormerSettings | undefined {
  const settings = entriesOf(value, isFormerSetting)
  return settings === undefined ? undefined : new Map(settings)
}

function readLent(value: unknown): LentCredentials | undefined {
  if (!isObject(value) || !isStrings(value['traces'])) return undefined
  const former = readFormer(value['former'])
  return former === undefined ? undefined : { former, traces: value['traces'] }
}

function readStamp(item: unknown): RecordStamp | undefined {
  const { inode, mtimeMs }: Fields = isObject(item) ? item : {}
  return isTime(inode) && isTime(mtimeMs) ? { inode, mtimeMs } : undefined
}

function isFormerSetting(item: unknown): item is { readonly before: string; readonly ours: readonly string[] } {
  if (!isObject(item) || typeof item['before'] !== 'string') return false
  return Array.isArray(item['ours']) && item['ours'].every(value => typeof value === 'string')
}

/**
 * Who changes again what was changed before has the first value to put back, unless somebody else changed it in between.
 * All of our values count, since whoever noted one may have been killed before it was written. A record that was made and
 * in which somebody else changed what it is known by is his: only what is changed now is put back in it, and our
 * credentials are to leave it. A secret that was ours is nobody else's, though it is what stands there.
 */
export function mergeChanges(earlier: RecordChange, later: RecordChange): RecordChange {
  if (later.made !== undefined) return later
  const former = new Map(earlier.former)
  let isTheirs = false
  for (const [name, { before, ours }] of later.former) {
    const known = former.get(name)
    const isOurs = known?.ours.includes(before) === true
    isTheirs ||= known !== undefined && !isOurs
    const first = isLent(earlier.lent, name, before) ? '' : before
    former.set(
      name,
      isOurs ? { before: known.before, ours: [...new Set([...known.ours, ...ours])] } : { before: first, ours }
    )
  }
  const isMade = earlier.made !== undefined
  const lent = isMade || earlier.lent !== undefined ? mergeLent(earlier.lent, lentCredentials(later.former)) : undefined
  const next = { ...later, ...(lent !== undefined && { lent }) }
  if (!isMade) return { ...next, former }
  // It is known without its secrets, and goes as a whole.
  const telling = new Map([...former].filter(([name]) => !isSecretSetting(name)))
  if (!isTheirs) return { ...next, former: telling, made: earlier.made }
  return { ...next, former: new Map([...former].filter(([name]) => later.former.has(name))) }
}
