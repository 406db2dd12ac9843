import { type Iqn, readIqn } from '../../core/iqn.ts'
import type { Wwid } from '../../core/wwid.ts'
import { draftOf, type Files } from '../../host/files.ts'
import { makeOwnFolder } from '../../host/own-path.ts'
import { formatProcessId, thisProcess } from '../../host/process-id.ts'
import {
  EMPTY_TARGET,
  type Expiry,
  isEmptyTarget,
  type Job,
  type LunEntry,
  type Owner,
  type OwnerState,
  parseLunEntry,
  parseTargetEntry,
  type TargetEntry,
} from './entries.ts'

/** Which LUN. */
export interface LunPlace {
  readonly target: Iqn
  readonly lun: number
}

/** A LUN's entry with its key; `isStale` when it is of an earlier boot, so that nothing of it can be there any more. */
export interface JournalledLun extends LunPlace {
  readonly entry: LunEntry
  readonly isStale: boolean
}

/**
 * Memory across processes: the script that detaches is not the process that attached, and may come after one that was
 * killed. Every intent is written, whole and synced, before its effect. Kept in /run, with the boot's id inside, because
 * no session or device outlives a boot.
 */
export interface Journal {
  /** Callers that change it hold the target's lock. */
  target(target: Iqn): Promise<TargetEntry>
  /** Whether anything is noted of it, if only a draft of one who was killed. */
  hasTarget(target: Iqn): Promise<boolean>
  /** Adds what is about to be done. */
  noteTarget(target: Iqn, more: Partial<TargetEntry>): Promise<void>
  /** Strikes out what is done or gone. */
  strikeTarget(target: Iqn, gone: Partial<Record<keyof TargetEntry, readonly string[]>>): Promise<void>
  /** Nothing of ours is left there. */
  forgetTarget(target: Iqn): Promise<void>

  /** Undefined for a LUN nobody holds. Callers that change it hold the LUN's lock. */
  lun(place: LunPlace): Promise<LunEntry | undefined>
  /** Adds or changes one owner, who has the LUN for good unless there is an `expiry`. */
  noteOwner(place: LunPlace, owner: string, state: OwnerState, expiry?: Expiry): Promise<void>
  /** Notes which disk a noted owner is given by itself. */
  notePlain(place: LunPlace, owner: string, hctl: string): Promise<void>
  /** Puts a hold that expires in the place of an owner, in one step. */
  replaceOwner(place: LunPlace, owner: string, by: string, expiry: Expiry): Promise<void>
  noteWwid(place: LunPlace, wwid: Wwid): Promise<void>
  /** The volume whose map is about to fail I/O while no path works; undefined when it waits again. */
  noteUnqueued(place: LunPlace, wwid: string | undefined): Promise<void>
  /** Forgets owners, and with the last one the LUN. */
  dropOwners(place: LunPlace, owners: readonly string[]): Promise<void>
  forgetLun(place: LunPlace): Promise<void>

  /** Every LUN, also those of an earlier boot. */
  luns(): Promise<readonly JournalledLun[]>
  /** LUNs of which only a draft is there, by one who was killed. */
  drafts(): Promise<readonly LunPlace[]>
  /** Every target something is noted of, if only in a draft. */
  targets(): Promise<readonly Iqn[]>
  /** A job about to be given to open-iscsi, by this process. */
  job(untilMs: number): Promise<Job>
}

const TARGETS = '/run/xen-lun/targets'
const LUNS = '/run/xen-lun/luns'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const SUFFIX = '.json'
/** See `draftOf`. */
const DRAFT = /^\.(.+)\.draft$/

export function createJournal(files: Files): Journal {
  const pathOf = (target: Iqn): string => `${TARGETS}/${target}${SUFFIX}`
  const lunPath = ({ target, lun }: LunPlace): string => `${LUNS}/${target},${lun}${SUFFIX}`
  const bootId = async (): Promise<string> => ((await files.read(BOOT_ID)) ?? '').trim()
  const made = new Set<string>()
  const write = async (path: string, entry: object): Promise<void> => {
    const folder = path.slice(0, path.lastIndexOf('/'))
    if (!made.has(folder)) await makeOwnFolder(files, folder)
    made.add(folder)
    await files.replace(path, `${JSON.stringify({ bootId: await bootId(), ...entry }, undefined, 2)}\n`, 0o600)
  }
  const remove = async (path: string): Promise<void> => {
    await files.remove(path)
    await files.remove(draftOf(path)) // left by a crash
  }
  const target = async (name: Iqn): Promise<TargetEntry> =>
    parseTargetEntry(await files.read(pathOf(name)), await bootId())
  const writeTarget = async (name: Iqn, entry: TargetEntry): Promise<void> =>
    isEmptyTarget(entry) ? await remove(pathOf(name)) : await write(pathOf(name), entry)
  const read = async (place: LunPlace): Promise<JournalledLun | undefined> => {
    const text = await files.read(lunPath(place))
    return text === undefined ? undefined : { ...place, ...parseLunEntry(text, await bootId()) }
  }
  const lun = async (place: LunPlace): Promise<LunEntry | undefined> => {
    const found = await read(place)
    return found === undefined || found.isStale ? undefined : found.entry
  }
  const writeLun = async (place: LunPlace, change: (entry: LunEntry) => LunEntry): Promise<void> =>
    await write(lunPath(place), change((await lun(place)) ?? { wwid: undefined, owners: {} }))
  const ownerOf = async (state: OwnerState, expiry: Expiry | undefined): Promise<Owner> => {
    const process = formatProcessId(await thisProcess(files))
    return { state, process, ...(expiry !== undefined && { expiry }) }
  }
  return {
    target,
    hasTarget: async name => {
      const found = await Promise.all([pathOf(name), draftOf(pathOf(name))].map(async path => await files.stat(path)))
      return found.some(stat => stat !== undefined)
    },
    noteTarget: async (name, { records = [], logins = [], discoveries = [], jobs = {} }) => {
      const now = await target(name)
      await writeTarget(name, {
        records: [...new Set([...now.records, ...records])],
        logins: [...new Set([...now.logins, ...logins])],
        discoveries: [...new Set([...now.discoveries, ...discoveries])],
        jobs: { ...now.jobs, ...jobs },
      })
    },
    strikeTarget: async (name, { records = [], jobs = [], logins = [], discoveries = [] }) => {
      const now = await target(name)
      await writeTarget(name, {
        records: now.records.filter(record => !records.includes(record)),
        logins: now.logins.filter(login => !logins.includes(login)),
        discoveries: now.discoveries.filter(discovery => !discoveries.includes(discovery)),
        jobs: Object.fromEntries(Object.entries(now.jobs).filter(([job]) => !jobs.includes(job))),
      })
    },
    forgetTarget: async name => await writeTarget(name, EMPTY_TARGET),
    lun,
    noteOwner: async (place, owner, state, expiry) => {
      const noted = await ownerOf(state, expiry)
      await writeLun(place, entry => {
        const { plain } = entry.owners[owner] ?? {}
        return { ...entry, owners: { ...entry.owners, [owner]: { ...noted, ...(plain !== undefined && { plain }) } } }
      })
    },
    notePlain: async (place, owner, plain) => {
      const noted = (await lun(place))?.owners[owner]
      if (noted === undefined || noted.plain === plain) return
      await writeLun(place, entry => ({ ...entry, owners: { ...entry.owners, [owner]: { ...noted, plain } } }))
    },
    replaceOwner: async (place, owner, by, expiry) => {
      const noted = await ownerOf('attached', expiry)
      await writeLun(place, entry => ({ ...entry, owners: { ...without(entry.owners, [owner]), [by]: noted } }))
    },
    noteWwid: async (place, wwid) => await writeLun(place, entry => ({ ...entry, wwid })),
    noteUnqueued: async (place, wwid) => {
      const owners = Object.keys((await lun(place))?.owners ?? {})
      if (wwid === undefined && owners.length === 0) await remove(lunPath(place))
      else await writeLun(place, entry => ({ ...entry, unqueued: wwid }))
    },
    dropOwners: async (place, gone) => {
      const owners = without((await lun(place))?.owners ?? {}, gone)
      if (Object.keys(owners).length === 0) await remove(lunPath(place))
      else await writeLun(place, entry => ({ ...entry, owners }))
    },
    forgetLun: async place => await remove(lunPath(place)),
    luns: async () => {
      const names = (await files.list(LUNS)).map(readLunName).filter(place => place !== undefined)
      return (await Promise.all(names.map(read))).filter(found => found !== undefined)
    },
    drafts: async () => {
      const names = await files.list(LUNS)
      const lost = names.flatMap(name => DRAFT.exec(name)?.[1] ?? []).filter(name => !names.includes(name))
      return lost.map(readLunName).filter(place => place !== undefined)
    },
    targets: async () => {
      const names = (await files.list(TARGETS)).map(name => DRAFT.exec(name)?.[1] ?? name)
      return [...new Set(names)]
        .map(name => readIqn(name.slice(0, -SUFFIX.length)))
        .filter(found => found !== undefined)
    },
    job: async untilMs => ({ untilMs, process: formatProcessId(await thisProcess(files)) }),
  }
}

function without(owners: LunEntry['owners'], gone: readonly string[]): LunEntry['owners'] {
  return Object.fromEntries(Object.entries(owners).filter(([name]) => !gone.includes(name)))
}

function readLunName(name: string): LunPlace | undefined {
  const [, text = '', lun] = /^(.+),(\d{1,5})\.json$/.exec(name) ?? []
  const target = readIqn(text)
  return target === undefined ? undefined : { target, lun: Number(lun) }
}
