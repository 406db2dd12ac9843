import { type Iqn, readIqn } from '../../core/iqn.ts'
import type { Wwid } from '../../core/wwid.ts'
import type { Files } from '../../host/files.ts'
import type { Looks } from '../../host/looks.ts'
import { formatProcessId, thisProcess } from '../../host/process-id.ts'
import { createDiscoveryJournal, type DiscoveryJournal } from './discoveries.ts'
import {
  type Expiry,
  formatLunEntry,
  type Job,
  type LunEntry,
  type Owner,
  type OwnerState,
  parseLunEntry,
} from './entries.ts'
import { createStore, journalUnreadable, type UnreadableEntry } from './store.ts'
import { createTargetJournal, type TargetJournal } from './targets.ts'

/** Which LUN. */
export interface LunPlace {
  readonly target: Iqn
  readonly lun: number
}

/** A LUN's entry with its key; `isStale` when it is of an earlier boot, so that nothing of it can be there any more. */
export interface JournalledLun extends LunPlace {
  /** Undefined for one that cannot be read, and so is held by somebody unknown. */
  readonly entry: LunEntry | undefined
  readonly isStale: boolean
}

/**
 * Memory across processes: the script that detaches is not the process that attached, and may come after one that was
 * killed. Every intent is written, whole and synced, before its effect. Kept in /run, with the boot's id inside, because
 * no session or device outlives a boot; what is noted of node records is kept in /var/lib, because they do.
 */
export interface Journal extends TargetJournal, DiscoveryJournal {
  /**
   * Undefined for a LUN nobody holds. Callers that change it hold the LUN's lock.
   *
   * @throws {@link LunError} `JOURNAL_UNREADABLE`, `PATH_UNSAFE`, as do those below that change it
   */
  lun(place: LunPlace): Promise<LunEntry | undefined>
  /** Adds or changes one owner, who has the LUN for good unless there is an `expiry`. */
  noteOwner(place: LunPlace, owner: string, state: OwnerState, expiry?: Expiry): Promise<void>
  /** Notes which disk a noted owner is given by itself; undefined for a map. */
  notePlain(place: LunPlace, owner: string, hctl: string | undefined): Promise<void>
  /** Puts a hold that expires in the place of an owner, in one step. */
  replaceOwner(place: LunPlace, owner: string, by: string, expiry: Expiry): Promise<void>
  noteWwid(place: LunPlace, wwid: Wwid): Promise<void>
  /** The volume whose map is about to fail I/O while no path works; undefined when it waits again. */
  noteUnqueued(place: LunPlace, wwid: string | undefined): Promise<void>
  /** Forgets owners, and with the last one the LUN. */
  dropOwners(place: LunPlace, owners: readonly string[]): Promise<void>
  forgetLun(place: LunPlace): Promise<void>

  /** Every LUN, also those of an earlier boot, and those that cannot be read. @throws {@link LunError} `PATH_UNSAFE` */
  luns(): Promise<readonly JournalledLun[]>
  /** LUNs of which only a draft is there, by one who was killed. */
  drafts(): Promise<readonly LunPlace[]>
  /** Everything that cannot be read. */
  unreadable(): Promise<readonly UnreadableEntry[]>
  /** A job about to be given to open-iscsi, by this process. */
  job(untilMs: number): Promise<Job>
}

const LUNS = '/run/xen-lun/luns'

export function createJournal(files: Files, looks?: Looks): Journal {
  const store = createStore(files)
  const targets = createTargetJournal(store)
  const discoveries = createDiscoveryJournal(store)
  const pathOf = ({ target, lun }: LunPlace): string => `${LUNS}/${target},${lun}.json`
  const read = async (place: LunPlace): Promise<Omit<JournalledLun, keyof LunPlace> | UnreadableEntry | undefined> => {
    const note = await store.read(pathOf(place))
    if (note === undefined || 'reason' in note) return note
    const found = parseLunEntry(note.text, await store.bootId())
    return 'flaw' in found ? { path: pathOf(place), reason: found.flaw } : found
  }
  const lun = async (place: LunPlace): Promise<LunEntry | undefined> => {
    const found = await read(place)
    if (found === undefined) return undefined
    if ('reason' in found) throw journalUnreadable(found)
    return found.isStale ? undefined : found.entry
  }
  const readAll = async (): Promise<readonly JournalledLun[]> => {
    const places = (await store.list(LUNS)).names.map(readLunName).filter(place => place !== undefined)
    const found = await Promise.all(
      places.map(async (place): Promise<readonly JournalledLun[]> => {
        const entry = await read(place)
        if (entry === undefined) return []
        return [{ ...place, ...('reason' in entry ? { entry: undefined, isStale: false } : entry) }]
      })
    )
    return found.flat()
  }
  const change = async (place: LunPlace, edit: (entry: LunEntry) => LunEntry): Promise<void> => {
    const entry = edit((await lun(place)) ?? { wwid: undefined, owners: new Map() })
    await store.write(pathOf(place), formatLunEntry(entry, await store.bootId()))
  }
  const ownerOf = async (state: OwnerState, expiry: Expiry | undefined): Promise<Owner> => {
    const process = formatProcessId(await thisProcess(files))
    return { state, process, ...(expiry !== undefined && { expiry }) }
  }
  return {
    ...targets,
    ...discoveries,
    lun,
    noteOwner: async (place, owner, state, expiry) => {
      const noted = await ownerOf(state, expiry)
      await change(place, entry => {
        const { plain } = entry.owners.get(owner) ?? {}
        return {
          ...entry,
          owners: new Map([...entry.owners, [owner, { ...noted, ...(plain !== undefined && { plain }) }]]),
        }
      })
    },
    notePlain: async (place, owner, plain) => {
      const noted = (await lun(place))?.owners.get(owner)
      if (noted === undefined || noted.plain === plain) return
      const { plain: _, ...rest } = noted
      const now: Owner = { ...rest, ...(plain !== undefined && { plain }) }
      await change(place, entry => ({ ...entry, owners: new Map([...entry.owners, [owner, now]]) }))
    },
    replaceOwner: async (place, owner, by, expiry) => {
      const noted = await ownerOf('attached', expiry)
      await change(place, entry => ({ ...entry, owners: new Map([...without(entry.owners, [owner]), [by, noted]]) }))
    },
    noteWwid: async (place, wwid) => await change(place, entry => ({ ...entry, wwid })),
    noteUnqueued: async (place, wwid) => {
      const owners = (await lun(place))?.owners.size ?? 0
      if (wwid === undefined && owners === 0) await store.remove(pathOf(place))
      else
        await change(place, ({ wwid: volume, owners: now }) => ({
          wwid: volume,
          owners: now,
          ...(wwid !== undefined && { unqueued: wwid }),
        }))
    },
    dropOwners: async (place, gone) => {
      const owners = without((await lun(place))?.owners ?? new Map(), gone)
      if (owners.size === 0) await store.remove(pathOf(place))
      else await change(place, entry => ({ ...entry, owners }))
    },
    forgetLun: async place => {
      await lun(place)
      await store.remove(pathOf(place))
    },
    luns: async () => (looks === undefined ? await readAll() : await looks.share('journal', readAll)),
    drafts: async () => (await store.list(LUNS)).drafts.map(readLunName).filter(place => place !== undefined),
    unreadable: async () => {
      const flaws = await store.flaws(LUNS)
      const others = [...(await targets.unreadableTargets()), ...(await discoveries.unreadableDiscoveries())]
      if (flaws.some(({ isUnsafe }) => isUnsafe === true)) return [...flaws, ...others]
      const luns = await Promise.all(
        (await store.list(LUNS)).names.map(async (name): Promise<readonly UnreadableEntry[]> => {
          const place = readLunName(name)
          if (place === undefined) return [{ path: `${LUNS}/${name}`, reason: 'is not named after a LUN' }]
          const found = await read(place)
          return found !== undefined && 'reason' in found ? [found] : []
        })
      )
      return [...luns.flat(), ...flaws, ...others]
    },
    job: async untilMs => ({ untilMs, process: formatProcessId(await thisProcess(files)) }),
  }
}

function without(owners: LunEntry['owners'], gone: readonly string[]): LunEntry['owners'] {
  return new Map([...owners].filter(([name]) => !gone.includes(name)))
}

function readLunName(name: string): LunPlace | undefined {
  const [, text = '', lun] = /^(.+),(\d{1,5})\.json$/.exec(name) ?? []
  const target = readIqn(text)
  return target === undefined ? undefined : { target, lun: Number(lun) }
}
