import { Secret } from '../core/secret.ts'
import type { LentCredentials } from './lent-credentials.ts'
import type { FormerSettings } from './node-db-write.ts'
import type { RecordSettings } from './record-settings.ts'
import type { RecordStamp, StandingRecord } from './standing-record.ts'

/** Names what made a node record: `static`, or the discovery that found it. */
export const FOUND_BY = 'node.discovery_type'

/** What somebody did to a record, to be taken back. */
export interface RecordNote {
  /** Its file. */
  readonly path: string
  /** What was changed in it; of a record that was made, all that may tell it from somebody else's. */
  readonly former: FormerSettings
  /** Of a record that was made: its file, before anything was changed in it. */
  readonly made?: RecordStamp | undefined
  /** Of a record that was made, or is somebody else's by now: credentials of ours that are to leave it. */
  readonly lent?: LentCredentials | undefined
}

/**
 * What to note of a record that was just made and is about to get these settings. It is known again by these, and by
 * `others`, which are to stay as they are.
 */
export function noteOfMade(
  path: string,
  { settings, stamp }: StandingRecord,
  wanted: RecordSettings,
  others: readonly string[] = []
): RecordNote & { readonly made: RecordStamp } {
  const values = Object.entries(wanted).map(([name, value]) => [name, textOf(value)] as const)
  const kept = others.filter(name => !(name in wanted)).map(name => [name, settings.get(name) ?? ''] as const)
  const former = new Map(
    [...values, ...kept].map(([name, value]) => [name, { before: settings.get(name) ?? '', ours: [value] }] as const)
  )
  return { path, former, made: stamp }
}

/**
 * Whether what stands there is the record that was made: as it was left, or as iscsiadm made it, untouched since. What says
 * something else somebody has changed or made since, and what a discovery has found is somebody's, too. A file with nothing
 * in it holds nothing of anybody's.
 */
export function isAsMade(note: RecordNote, found: StandingRecord): boolean {
  if (note.made === undefined || found.flaw === 'damaged' || found.links.length > 0) return false
  if (found.flaw === 'empty' || isUntouched(note, found)) return true
  return [...note.former].every(([name, { ours }]) => ours.includes(found.settings.get(name) ?? ''))
}

/** Whether what stands there is the record that was made, in which nothing was changed yet, by nobody. */
export function isUntouched({ former, made }: RecordNote, { settings, stamp }: StandingRecord): boolean {
  if (made?.inode !== stamp.inode || made.mtimeMs !== stamp.mtimeMs) return false
  return [...former].every(([name, { before }]) => before === (settings.get(name) ?? ''))
}

/** When a file must have been written to be that of an intent. */
export interface TimeWindow {
  readonly sinceMs: number
  readonly untilMs: number
}

/** By hand, and not by a discovery. */
const MADE_BY_HAND = 'static'

/** Whether a node record was made by name, and not found by a discovery. */
export function isByName({ settings }: Pick<StandingRecord, 'settings'>): boolean {
  return (settings.get(FOUND_BY) ?? MADE_BY_HAND) === MADE_BY_HAND
}

/**
 * Whether what stands there is what iscsiadm was about to make for one who died before he could look: written when he was
 * about to, by name, with nothing in it but the host's own defaults. A file with nothing in it is one that iscsiadm had
 * just begun.
 */
export function isFreshlyMade(
  found: StandingRecord,
  { sinceMs, untilMs }: TimeWindow,
  defaults: ReadonlyMap<string, string>
): boolean {
  const { settings, flaw, stamp, links } = found
  if (stamp.mtimeMs < sinceMs || stamp.mtimeMs > untilMs || links.length > 0) return false
  if (flaw !== undefined) return flaw === 'empty'
  const kind = settings.has('node.name') ? 'node.' : 'discovery.'
  const own = [...defaults].filter(([name]) => name.startsWith(kind))
  return isByName(found) && own.every(([name, value]) => isDefault(name, settings.get(name), value))
}

// Having no credentials tells as much as having others. Of what else a record leaves out, its open-iscsi does not know.
function isDefault(name: string, now: string | undefined, value: string): boolean {
  if (now !== undefined) return now === value
  return value === '' || !name.includes('.auth.')
}

function textOf(value: string | Secret): string {
  return value instanceof Secret ? value.reveal() : value
}
