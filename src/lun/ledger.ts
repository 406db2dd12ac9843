import type { Iqn } from '../core/iqn.ts'
import type { Files } from '../host/files.ts'

/** What this library did to a target and has not taken back yet. */
export interface TargetLedger {
  /** Paths of node records it created. */
  readonly records: readonly string[]
  /** Endpoints it logged in, see `endpointKey`. */
  readonly logins: readonly string[]
  /** LUN number to the WWID it was attached with. */
  readonly wwids: Readonly<Record<string, string>>
}

/**
 * Memory across processes: the script that detaches is not the process that attached. Written before each effect,
 * kept in /run because none of it outlives a boot. Callers hold the target's lock.
 */
export interface Ledger {
  read(target: Iqn): Promise<TargetLedger>
  /** Adds what is about to be done. */
  note(target: Iqn, more: Partial<TargetLedger>): Promise<void>
  /** Strikes out what is gone: the LUN, and with `isEnded` the target's logins and records. */
  settle(target: Iqn, lun: number, options: { readonly isEnded: boolean }): Promise<void>
}

const DIRECTORY = '/run/xen-lun/targets'
const EMPTY: TargetLedger = { records: [], logins: [], wwids: {} }

export function createLedger(files: Files): Ledger {
  const path = (target: Iqn): string => `${DIRECTORY}/${target}.json`
  const read = async (target: Iqn): Promise<TargetLedger> => parseLedger(await files.read(path(target)))
  const write = async (target: Iqn, ledger: TargetLedger): Promise<void> => {
    if (isEmpty(ledger)) {
      await files.remove(path(target))
      return
    }
    await files.makeDirectory(DIRECTORY, 0o700)
    await files.replace(path(target), `${JSON.stringify(ledger, undefined, 2)}\n`, 0o600)
  }
  return {
    read,
    note: async (target, { records = [], logins = [], wwids = {} }) => {
      const now = await read(target)
      await write(target, {
        records: [...new Set([...now.records, ...records])],
        logins: [...new Set([...now.logins, ...logins])],
        wwids: { ...now.wwids, ...wwids },
      })
    },
    settle: async (target, lun, { isEnded }) => {
      const { records, logins, wwids } = await read(target)
      const { [String(lun)]: _gone, ...others } = wwids
      await write(target, isEnded ? { ...EMPTY, wwids: others } : { records, logins, wwids: others })
    },
  }
}

function isEmpty({ records, logins, wwids }: TargetLedger): boolean {
  return records.length === 0 && logins.length === 0 && Object.keys(wwids).length === 0
}

// Only this library writes the file, atomically; should it be damaged all the same, then nothing is known to be ours.
function parseLedger(text: string | undefined): TargetLedger {
  if (text === undefined) return EMPTY
  const value: unknown = parseJson(text)
  if (typeof value !== 'object' || value === null) return EMPTY
  const { records, logins, wwids } = value as Record<string, unknown>
  return {
    records: strings(records),
    logins: strings(logins),
    wwids: typeof wwids === 'object' && wwids !== null ? stringValues(wwids) : {},
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
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

function stringValues(value: object): Record<string, string> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => typeof item === 'string'))
}
