import type { Iqn } from '../core/iqn.ts'
import { readPortalText } from '../core/portal.ts'
import { draftOf, type Files } from '../host/files.ts'

/** What this library did to a target and has not taken back yet. */
export interface TargetLedger {
  /** Endpoints whose node records it creates, see `endpointKey`. */
  readonly records: readonly string[]
  /** Endpoints it logs in. */
  readonly logins: readonly string[]
  /** LUN number to the WWID it was attached with. */
  readonly wwids: Readonly<Record<string, string>>
  /** Portals whose discovery records, with credentials, it makes for the time of a question. */
  readonly discoveries: readonly string[]
  /**
   * What open-iscsi was told to do, as `login ENDPOINT`, `logout ENDPOINT`, `record ENDPOINT` or `discovery PORTAL`, and
   * the host's uptime in ms when it must be done.
   */
  readonly jobs: Readonly<Record<string, number>>
}

/**
 * Memory across processes: the script that detaches is not the process that attached. Written before each effect,
 * kept in /run because none of it outlives a boot. Callers hold the target's lock.
 */
export interface Ledger {
  read(target: Iqn): Promise<TargetLedger>
  /** Adds what is about to be done; `jobs` and `discoveries` are replaced. */
  note(target: Iqn, more: Partial<TargetLedger>): Promise<void>
  /** Strikes out what is gone: the LUN, and with `isEnded` the target's logins, records and jobs. */
  settle(target: Iqn, lun: number, options: { readonly isEnded: boolean }): Promise<void>
}

const DIRECTORY = '/run/xen-lun/targets'
const EMPTY: TargetLedger = { records: [], logins: [], wwids: {}, discoveries: [], jobs: {} }

export function createLedger(files: Files): Ledger {
  const path = (target: Iqn): string => `${DIRECTORY}/${target}.json`
  const read = async (target: Iqn): Promise<TargetLedger> => parseLedger(await files.read(path(target)))
  const write = async (target: Iqn, ledger: TargetLedger): Promise<void> => {
    if (isEmpty(ledger)) {
      await files.remove(path(target))
      await files.remove(draftOf(path(target))) // left by a crash
      return
    }
    await files.makeDirectory(DIRECTORY, 0o700)
    await files.replace(path(target), `${JSON.stringify(ledger, undefined, 2)}\n`, 0o600)
  }
  return {
    read,
    note: async (target, { records = [], logins = [], wwids = {}, discoveries, jobs }) => {
      const now = await read(target)
      await write(target, {
        records: [...new Set([...now.records, ...records])],
        logins: [...new Set([...now.logins, ...logins])],
        wwids: { ...now.wwids, ...wwids },
        discoveries: discoveries ?? now.discoveries,
        jobs: jobs ?? now.jobs,
      })
    },
    settle: async (target, lun, { isEnded }) => {
      const now = await read(target)
      const { [String(lun)]: _gone, ...wwids } = now.wwids
      await write(target, isEnded ? { ...EMPTY, wwids } : { ...now, wwids })
    },
  }
}

function isEmpty({ records, logins, wwids, discoveries, jobs }: TargetLedger): boolean {
  return [records, logins, discoveries, Object.keys(wwids), Object.keys(jobs)].every(list => list.length === 0)
}

// Only this library writes the file, atomically; should it be damaged all the same, then nothing is known to be ours.
function parseLedger(text: string | undefined): TargetLedger {
  if (text === undefined) return EMPTY
  const value: unknown = parseJson(text)
  if (typeof value !== 'object' || value === null) return EMPTY
  const { records, logins, wwids, discoveries, jobs } = value as Record<string, unknown>
  return {
    records: strings(records),
    logins: strings(logins),
    discoveries: strings(discoveries).filter(isPortal),
    wwids: valuesOf(wwids, LUN, isFilled),
    jobs: valuesOf(jobs, ANY, isTime),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(isFilled) : []
}

const LUN = /^\d{1,5}$/
const ANY = /./

function valuesOf<T>(value: unknown, key: RegExp, isWanted: (item: unknown) => item is T): Record<string, T> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]: [string, unknown]) =>
      key.test(name) && isWanted(item) ? [[name, item] as const] : []
    )
  )
}

function isPortal(text: string): boolean {
  return typeof readPortalText(text) !== 'string'
}

function isFilled(item: unknown): item is string {
  return typeof item === 'string' && item !== ''
}

// JSON can say 1e999, which nobody could wait for.
function isTime(item: unknown): item is number {
  return Number.isFinite(item)
}
