import { readPortalText } from '../../core/portal.ts'
import { readWwid, type Wwid } from '../../core/wwid.ts'
import type { FormerSettings } from '../../iscsi/node-db.ts'

/** What this library did to a target and has not taken back yet. */
export interface TargetEntry {
  /** Endpoints whose node records it creates, see `endpointKey`. These are files, and outlive a boot. */
  readonly records: readonly string[]
  /** What it changes in node records that were there. These outlive a boot too. */
  readonly changes: readonly RecordChange[]
  /** Endpoints it logs in. */
  readonly logins: readonly string[]
  /** Portals whose discovery records, with credentials, it makes for the time of a question. */
  readonly discoveries: readonly string[]
  /**
   * What open-iscsi was told to do: `login ENDPOINT #MAKER`, `logout ENDPOINT #MAKER`, `record ENDPOINT #MAKER` or
   * `discovery PORTAL #MAKER`. Two may tell it the same.
   */
  readonly jobs: Readonly<Record<string, Job>>
}

/** What this library changes in a node record of somebody else's, former secrets included. */
export interface RecordChange {
  /** The record's file. */
  readonly path: string
  /** See `endpointKey`. */
  readonly endpoint: string
  readonly former: FormerSettings
}

/** What is kept where a boot does not reach it. */
export type KeptEntry = Pick<TargetEntry, 'records' | 'changes'>

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

export const EMPTY_TARGET: TargetEntry = { records: [], changes: [], logins: [], discoveries: [], jobs: {} }

/** Whether there is nothing in it that a boot would end. */
export function isEmptyTarget({ logins, discoveries, jobs }: TargetEntry): boolean {
  return [logins, discoveries, Object.keys(jobs)].every(list => list.length === 0)
}

/** Of the entries' format. Who changes what an entry may hold counts it up, so that older versions keep off it. */
const VERSION = 1

/** An entry that is of an earlier boot, so that nothing of it can be there any more; or why this one cannot be read. */
type Parsed<T> = { readonly entry: T; readonly isStale: boolean } | { readonly flaw: string }

// Only this library writes these files, atomically. Should one be damaged all the same, or be of a later version, then
// what it says is unknown, down to its last owner: to take it for nothing would be to take LUNs from those who hold them.

/** What is noted of a target until the next boot; without a text, nothing. */
export function parseTargetEntry(text: string | undefined, bootId: string): Parsed<TargetEntry> {
  if (text === undefined) return { entry: EMPTY_TARGET, isStale: false }
  const value = parseEntry(text)
  if (typeof value === 'string') return { flaw: value }
  // Records were noted here once.
  const { bootId: boot, records = [], logins = [], discoveries = [], jobs = {} } = value
  if (typeof boot !== 'string' || boot === '') return { flaw: NO_BOOT }
  if (!isStrings(records)) return { flaw: 'has no list of records' }
  if (boot !== bootId) return { entry: { ...EMPTY_TARGET, records }, isStale: true }
  if (!isStrings(logins)) return { flaw: 'has no list of logins' }
  if (!isStrings(discoveries) || !discoveries.every(isPortal)) return { flaw: 'has no list of discoveries' }
  const known = entriesOf(jobs, isJob)
  if (known === undefined) return { flaw: 'has a job of a kind that is not known' }
  return { entry: { ...EMPTY_TARGET, records, logins, discoveries, jobs: Object.fromEntries(known) }, isStale: false }
}

/** What is noted of a target's node records; without a text, nothing. */
export function parseKeptEntry(text: string | undefined): Parsed<KeptEntry> {
  if (text === undefined) return { entry: EMPTY_TARGET, isStale: false }
  const value = parseEntry(text)
  if (typeof value === 'string') return { flaw: value }
  const { records, changes } = value
  if (!isStrings(records)) return { flaw: 'has no list of records' }
  const known = Array.isArray(changes) ? changes.map(readChange) : [undefined]
  const read = known.filter(change => change !== undefined)
  if (read.length < known.length) return { flaw: 'has no list of changes' }
  return { entry: { records, changes: read }, isStale: false }
}

function readChange(item: unknown): RecordChange | undefined {
  if (!isObject(item)) return undefined
  const { path, endpoint, former } = item
  const settings = entriesOf(former, isFormerSetting)
  if (typeof path !== 'string' || typeof endpoint !== 'string' || settings === undefined) return undefined
  return { path, endpoint, former: new Map(settings) }
}

function isFormerSetting(item: unknown): item is { readonly before: string; readonly ours: readonly string[] } {
  if (!isObject(item) || typeof item['before'] !== 'string') return false
  return Array.isArray(item['ours']) && item['ours'].every(value => typeof value === 'string')
}

export function parseLunEntry(text: string, bootId: string): Parsed<LunEntry> {
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

export function formatTargetEntry({ logins, discoveries, jobs }: TargetEntry, bootId: string): string {
  return format({ bootId, logins, discoveries, jobs })
}

export function formatKeptEntry({ records, changes }: KeptEntry): string {
  return format({ records, changes: changes.map(change => ({ ...change, former: Object.fromEntries(change.former) })) })
}

export function formatLunEntry({ owners, ...entry }: LunEntry, bootId: string): string {
  return format({ bootId, ...entry, owners: Object.fromEntries(owners) })
}

function format(fields: object): string {
  return `${JSON.stringify({ version: VERSION, ...fields }, undefined, 2)}\n`
}

const NO_BOOT = 'does not say of which boot it is'

/** The fields of an entry, or the reason why they are unknown. One without a version is of the first. */
function parseEntry(text: string): Readonly<Record<string, unknown>> | string {
  const value = parseObject(text)
  if (value === undefined) return text.trim() === '' ? 'is empty' : 'is damaged'
  const { version = VERSION } = value
  return version === VERSION ? value : `is of version ${JSON.stringify(version)}, and this is version ${VERSION}`
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string' && item !== '')
}

/** Undefined where a single one is not what is wanted. */
function entriesOf<T>(
  value: unknown,
  isWanted: (item: unknown) => item is T
): readonly (readonly [string, T])[] | undefined {
  if (!isObject(value)) return undefined
  const entries = Object.entries(value)
  const wanted = entries.flatMap(([name, item]) => (name !== '' && isWanted(item) ? [[name, item] as const] : []))
  return wanted.length === entries.length ? wanted : undefined
}

function isPortal(text: string): boolean {
  return typeof readPortalText(text) !== 'string'
}

// JSON can say 1e300, which nobody could wait for.
function isJob(item: unknown): item is Job {
  return isObject(item) && isUptime(item['untilMs']) && typeof item['process'] === 'string'
}

function isUptime(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
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
