import { readPortalText } from '../../core/portal.ts'
import { readWwid, type Wwid } from '../../core/wwid.ts'
import { entriesOf, formatEntry, isObject, isStrings, isTime, NO_BOOT, type Parsed, parseEntry } from './entry-text.ts'
import { EMPTY_KEPT, type KeptEntry, readEndpoints } from './record-notes.ts'

/** What this library did to a target and has not taken back yet. */
export interface TargetEntry extends KeptEntry {
  /** Endpoints it logs in. */
  readonly logins: readonly string[]
  /** What open-iscsi was told to do: `login ENDPOINT #MAKER`, `logout …` or `record …`. Two may tell it the same. */
  readonly jobs: Readonly<Record<string, Job>>
}

/** Something on its way in open-iscsi, which goes on though the process that asked for it dies. */
export interface Job {
  /** The host's uptime when it must be done. */
  readonly untilMs: number
  /** Who asked, see `formatProcessId`. */
  readonly process: string
}

/** Who holds a LUN. */
export interface LunEntry {
  /** Undefined until the first path has told. */
  readonly wwid: Wwid | undefined
  /** No object: its lookups find `constructor`, which is a name like any other. */
  readonly owners: ReadonlyMap<string, Owner>
  /** The volume whose map was told, or is about to be told, to fail I/O while no path works; left out once it waits again. */
  readonly unqueued?: string | undefined
}

export type OwnerState = 'attaching' | 'attached' | 'detaching'

/** One who holds a LUN, and the process that last changed its state. */
export interface Owner {
  readonly state: OwnerState
  readonly process: string
  /** Until then it holds the LUN, whatever became of the process. Left out: until it lets go. */
  readonly expiry?: Expiry
  /** The disk it was given by itself, without a map, as `host:channel:target:lun`. */
  readonly plain?: string
}

/** The end of a hold that nobody has to take back. */
export interface Expiry {
  /** `prewarm`: made ahead for a guest to come. `linger`: left by the last owner for the next one. */
  readonly kind: 'prewarm' | 'linger'
  /** The host's uptime. */
  readonly untilMs: number
}

export const EMPTY_TARGET: TargetEntry = { ...EMPTY_KEPT, logins: [], jobs: {} }

/** Whether there is nothing in it that a boot would end. */
export function isEmptyTarget({ logins, jobs }: TargetEntry): boolean {
  return logins.length + Object.keys(jobs).length === 0
}

/** An entry that is of an earlier boot, so that nothing of it can be there any more. */
interface Dated<T> {
  readonly entry: T
  readonly isStale: boolean
}

/** What is noted of a target until the next boot; without a text, nothing. */
export function parseTargetEntry(text: string | undefined, bootId: string): Parsed<Dated<TargetEntry>> {
  if (text === undefined) return { entry: EMPTY_TARGET, isStale: false }
  const value = parseEntry(text)
  if (typeof value === 'string') return { flaw: value }
  // Records and discoveries were noted here once.
  const { bootId: boot, records = [], logins = [], discoveries = [], jobs = {} } = value
  if (typeof boot !== 'string' || boot === '') return { flaw: NO_BOOT }
  const intents = readEndpoints(records)
  if (intents === undefined) return { flaw: 'has no list of records' }
  if (!isStrings(discoveries) || !discoveries.every(isPortal)) return { flaw: 'has no list of discoveries' }
  const made = [...intents, ...discoveries.map(portal => ({ endpoint: `discovery ${portal}` }))]
  if (boot !== bootId) return { entry: { ...EMPTY_TARGET, intents: made }, isStale: true }
  if (!isStrings(logins)) return { flaw: 'has no list of logins' }
  const known = entriesOf(jobs, isJob)
  if (known === undefined) return { flaw: 'has a job of a kind that is not known' }
  return { entry: { ...EMPTY_TARGET, intents: made, logins, jobs: Object.fromEntries(known) }, isStale: false }
}

export function parseLunEntry(text: string, bootId: string): Parsed<Dated<LunEntry>> {
  const value = parseEntry(text)
  if (typeof value === 'string') return { flaw: value }
  const { bootId: boot, wwid: name, owners, unqueued } = value
  if (typeof boot !== 'string' || boot === '') return { flaw: NO_BOOT }
  const wwid = name === undefined ? undefined : readWwid(name)
  const known = entriesOf(owners, isOwner)
  if (boot !== bootId) return { entry: { wwid, owners: new Map(known) }, isStale: true }
  if (name !== undefined && wwid === undefined) return { flaw: 'has no WWID where one is noted' }
  if (known === undefined) return { flaw: 'has an owner of a kind that is not known' }
  if (unqueued === undefined) return { entry: { wwid, owners: new Map(known) }, isStale: false }
  if (typeof unqueued !== 'string' || unqueued === '') return { flaw: 'does not say which volume fails I/O' }
  return { entry: { wwid, owners: new Map(known), unqueued }, isStale: false }
}

export function formatTargetEntry({ logins, jobs }: TargetEntry, bootId: string): string {
  return formatEntry({ bootId, logins, jobs })
}

export function formatLunEntry({ owners, ...entry }: LunEntry, bootId: string): string {
  return formatEntry({ bootId, ...entry, owners: Object.fromEntries(owners) })
}

function isPortal(text: string): boolean {
  return typeof readPortalText(text) !== 'string'
}

function isJob(item: unknown): item is Job {
  return isObject(item) && isTime(item['untilMs']) && typeof item['process'] === 'string'
}

function isOwner(item: unknown): item is Owner {
  if (!isObject(item) || typeof item['process'] !== 'string') return false
  if (item['expiry'] !== undefined && !isExpiry(item['expiry'])) return false
  if (item['plain'] !== undefined && typeof item['plain'] !== 'string') return false
  return item['state'] === 'attaching' || item['state'] === 'attached' || item['state'] === 'detaching'
}

function isExpiry(item: unknown): item is Expiry {
  if (!isObject(item) || !Number.isFinite(item['untilMs'])) return false
  return item['kind'] === 'prewarm' || item['kind'] === 'linger'
}
