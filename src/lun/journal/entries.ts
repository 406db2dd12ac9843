import { readPortalText } from '../../core/portal.ts'
import { readWwid, type Wwid } from '../../core/wwid.ts'

/** What this library did to a target and has not taken back yet. */
export interface TargetEntry {
  /** Endpoints whose node records it creates, see `endpointKey`. These are files, and outlive a boot. */
  readonly records: readonly string[]
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
  readonly owners: Readonly<Record<string, Owner>>
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

export const EMPTY_TARGET: TargetEntry = { records: [], logins: [], discoveries: [], jobs: {} }

export function isEmptyTarget({ records, logins, discoveries, jobs }: TargetEntry): boolean {
  return [records, logins, discoveries, Object.keys(jobs)].every(list => list.length === 0)
}

// Only this library writes these files, atomically; should one be damaged all the same, then nothing in it is ours.

/** Of an earlier boot only the records are left. */
export function parseTargetEntry(text: string | undefined, bootId: string): TargetEntry {
  const { bootId: boot, records, logins, discoveries, jobs } = parseObject(text)
  if (boot !== bootId) return { ...EMPTY_TARGET, records: strings(records) }
  return {
    records: strings(records),
    logins: strings(logins),
    discoveries: strings(discoveries).filter(isPortal),
    jobs: valuesOf(jobs, isJob),
  }
}

export function parseLunEntry(text: string, bootId: string): { readonly entry: LunEntry; readonly isStale: boolean } {
  const { bootId: boot, wwid, owners, unqueued } = parseObject(text)
  return {
    entry: { wwid: readWwid(wwid), owners: valuesOf(owners, isOwner), ...(isFilled(unqueued) && { unqueued }) },
    isStale: boot !== bootId,
  }
}

function parseObject(text: string | undefined): Readonly<Record<string, unknown>> {
  if (text === undefined) return {}
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(isFilled) : []
}

function valuesOf<T>(value: unknown, isWanted: (item: unknown) => item is T): Record<string, T> {
  if (!isObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => (name !== '' && isWanted(item) ? [[name, item] as const] : []))
  )
}

function isPortal(text: string): boolean {
  return typeof readPortalText(text) !== 'string'
}

function isFilled(item: unknown): item is string {
  return typeof item === 'string' && item !== ''
}

// JSON can say 1e999, which nobody could wait for.
function isJob(item: unknown): item is Job {
  return isObject(item) && Number.isFinite(item['untilMs']) && typeof item['process'] === 'string'
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
