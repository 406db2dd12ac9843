import type { Iqn } from '../core/iqn.ts'
import type { OperationOptions } from '../core/options.ts'
import { createTurns } from '../flow/turns.ts'
import type { Host } from '../host/host.ts'
import { withDbLock } from './db-lock.ts'
import { DB_ROOTS, findRoot } from './db-path.ts'
import { type DiscoveryRecords, type NodeRecords, readDiscovery, readTargetFolder, sortOut } from './node-db-read.ts'
import { type RemoveOptions, removeRecord } from './node-db-remove.ts'
import {
  type FormerSettings,
  findDrafts,
  putBackRecord,
  removeDrafts,
  type UpdateOptions,
  updateRecord,
} from './node-db-write.ts'
import type { RecordSettings } from './record-settings.ts'

export type {
  BrokenRecord,
  DiscoveryRecord,
  DiscoveryRecords,
  NodeRecord,
  NodeRecords,
  RecordLink,
} from './node-db-read.ts'

export type { RemoveOptions } from './node-db-remove.ts'
export type { FormerSettings, UpdateOptions } from './node-db-write.ts'
export type { RecordSettings } from './record-settings.ts'

/** How records are read. */
export interface ReadOptions extends OperationOptions {
  /**
   * What is no whole record is looked at once more under open-iscsi's lock, and only then judged: iscsiadm empties a record
   * before it writes it anew. For those who make or destroy something because of it. Default: no wait for the lock.
   */
  readonly isSettled?: boolean | undefined
}

/**
 * open-iscsi's database of node and discovery records, read and written as files. A damaged record, which makes every
 * `iscsiadm -m node` fail, is reported here and hides no other one; and a secret written here is seen by nobody, while
 * an argument of iscsiadm can be read by all.
 */
export interface NodeDb {
  /** Every node record. */
  records(): Promise<NodeRecords>
  /** The node records of one target; no other record is read. @throws {@link LunError} `LOCK_TIMEOUT` for `isSettled` */
  recordsOf(target: Iqn, options?: ReadOptions): Promise<NodeRecords>
  /** Every SendTargets discovery record. @throws {@link LunError} `LOCK_TIMEOUT` for `isSettled` */
  discoveryRecords(options?: ReadOptions): Promise<DiscoveryRecords>
  /**
   * Changes settings of one record, all or none, under open-iscsi's lock and in one step for every reader. The empty
   * text takes a setting out, so that open-iscsi's default counts. Answers what was changed, for {@link NodeDb.putBack}.
   *
   * @throws {@link LunError} `INVALID_INPUT` before anything is touched: a value that would not read back as it is, a
   * setting that identifies the record, or one this record lacks and not every open-iscsi knows; `ISCSI_NO_RECORD`;
   * `NODE_RECORD_BROKEN`; `LOCK_TIMEOUT`
   */
  update(record: { readonly path: string }, settings: RecordSettings, options?: UpdateOptions): Promise<FormerSettings>
  /**
   * Puts back what settings of a record were, except those that are something else by now than what they were changed
   * to; does nothing if the record is gone.
   *
   * @throws {@link LunError} `INVALID_INPUT` for a path that is not that of a record; `LOCK_TIMEOUT`
   */
  putBack(record: { readonly path: string }, former: FormerSettings, options?: OperationOptions): Promise<void>
  /**
   * Deletes one node or discovery record, the links to or in it, and the folders this leaves empty. False if it is gone
   * already, or not wanted.
   *
   * @throws {@link LunError} `INVALID_INPUT` for a path that is not that of a record; `LOCK_TIMEOUT`
   */
  remove(path: string, options?: RemoveOptions): Promise<boolean>
  /** Files in which somebody writes a record anew, or died while doing so: they hold its secrets. */
  drafts(): Promise<readonly string[]>
  /** Removes those of them that nobody writes any more. @throws {@link LunError} `LOCK_TIMEOUT` */
  removeDrafts(options?: OperationOptions): Promise<void>
}

/** Where the database is. */
export interface NodeDbOptions {
  /** Default: `/var/lib/iscsi` or `/etc/iscsi`, the one with records. */
  readonly root?: string | undefined
  /** Default `/run/lock/iscsi`. */
  readonly lockFolder?: string | undefined
  /** How long to wait for iscsiadm to release the database. Default 30 s, as iscsiadm does. */
  readonly lockTimeoutMs?: number | undefined
}

/**
 * The node database of this host.
 *
 * @example
 * ```ts
 * import { chapSettings, createLocalHost, createNodeDb, iqn, Secret } from 'xen-lun'
 *
 * const nodeDb = createNodeDb(createLocalHost())
 * const { records } = await nodeDb.recordsOf(iqn('iqn.2001-05.com.example:vm1'))
 * for (const record of records) {
 *   await nodeDb.update(record, chapSettings({ username: 'dom0', password: new Secret('correct horse') }))
 * }
 * ```
 */
export function createNodeDb(host: Pick<Host, 'files' | 'clock' | 'locks'>, options: NodeDbOptions = {}): NodeDb {
  const { files } = host
  const roots = options.root === undefined ? DB_ROOTS : [options.root]
  const lock = { roots, folder: options.lockFolder, timeoutMs: options.lockTimeoutMs }
  // Writers of one process wait for each other here, which is cheaper than to look for the lock every 10 ms.
  const writers = createTurns()
  const foldersOf = async (isWanted: (name: string) => boolean): Promise<NodeRecords> => {
    const nodes = `${await findRoot(files, roots)}/nodes`
    const names = (await files.list(nodes)).filter(isWanted)
    return sortOut(
      (await Promise.all(names.map(async name => await readTargetFolder(host, `${nodes}/${name}`)))).flat()
    )
  }
  const discoveries = async (): Promise<DiscoveryRecords> => {
    const folder = `${await findRoot(files, roots)}/send_targets`
    const names = await files.list(folder)
    return sortOut((await Promise.all(names.map(async name => await readDiscovery(host, folder, name)))).flat())
  }
  const settle = async <T extends NodeRecords | DiscoveryRecords>(
    look: () => Promise<T>,
    { isSettled = false, signal }: ReadOptions = {}
  ): Promise<T> => {
    const found = await look()
    if (!isSettled || found.broken.length === 0) return found
    return await writers.take('', async () => await withDbLock(host, look, { ...lock, signal }))
  }
  return {
    records: async () => await foldersOf(() => true),
    recordsOf: async (target, reading) =>
      await settle(async () => await foldersOf(name => name.toLowerCase() === target), reading),
    discoveryRecords: async reading => await settle(discoveries, reading),
    update: async ({ path }, settings, { signal, onChange } = {}) =>
      await writers.take('', async () => await updateRecord(host, path, settings, { ...lock, signal, onChange })),
    putBack: async ({ path }, former, { signal } = {}) =>
      await writers.take('', async () => await putBackRecord(host, path, former, { ...lock, signal })),
    remove: async (path, { signal, onlyIf } = {}) =>
      await writers.take('', async () => await removeRecord(host, path, { ...lock, signal, onlyIf })),
    drafts: async () => await findDrafts(host, roots),
    removeDrafts: async ({ signal } = {}) =>
      await writers.take('', async () => await removeDrafts(host, { ...lock, signal })),
  }
}
