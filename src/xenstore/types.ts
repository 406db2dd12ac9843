import type { OperationOptions } from '../core/options.ts'
import type { XenstorePermissions } from './permissions.ts'

/** Values by their paths. Text is stored as UTF-8; bytes may be any, though most readers of xenstore expect none that is 0. */
export type XenstoreValues = Readonly<Record<string, string | Uint8Array>>

/** What can be done with xenstore, in a transaction and outside of one. */
export interface XenstoreNodes {
  /** The exact value. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  read(path: string, options?: OperationOptions): Promise<string>
  /** The exact value, or `undefined` when there is none. */
  tryRead(path: string, options?: OperationOptions): Promise<string | undefined>
  /** The value as it is stored, for one that may not be UTF-8. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  readBytes(path: string, options?: OperationOptions): Promise<Uint8Array>
  /**
   * Writes every value or none: one transaction. Parents are made.
   *
   * @throws {@link LunError} `XENSTORE_ACCESS_DENIED`, `XENSTORE_CONFLICT`
   */
  write(values: XenstoreValues, options?: OperationOptions): Promise<void>
  /** Makes a path without a value, with its parents; one that is there keeps its value. */
  mkdir(path: string, options?: OperationOptions): Promise<void>
  /** Removes a path and all below it; fine when it is not there. @throws {@link LunError} `XENSTORE_ACCESS_DENIED` */
  rm(path: string, options?: OperationOptions): Promise<void>
  /** Names of the children, however many. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  list(path: string, options?: OperationOptions): Promise<readonly string[]>
  /** Whether there is such a path. */
  exists(path: string, options?: OperationOptions): Promise<boolean>
  /** Who may do what with a node. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  getPermissions(path: string, options?: OperationOptions): Promise<XenstorePermissions>
  /** Replaces all permissions of a node; those below it stay. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  setPermissions(path: string, permissions: XenstorePermissions, options?: OperationOptions): Promise<void>
}

/** {@link XenstoreNodes} as they were when the transaction began, with its own changes. */
export type XenstoreTransaction = XenstoreNodes

/** Something at or below a watched path has changed, or may have. */
export interface XenstoreEvent {
  /** What was written or removed; relative if the watched path is. */
  readonly path: string
}

/**
 * The xenstore of a host. Paths are absolute, or relative to the home of this domain, `/local/domain/0` in dom0.
 *
 * A call that is aborted rejects with the reason of its signal; what it asked for may have been done. Each call waits for
 * xenstored 10 s, if `createXenstore` was not told otherwise.
 *
 * @throws {@link LunError} `XENSTORE_INVALID` for a path or value xenstored cannot take, before anything is sent;
 * `XENSTORE_UNAVAILABLE` when xenstored does not answer, or cannot be asked this in the way it is reached: then the
 * answer is unknown, never "not there".
 */
export interface Xenstore extends XenstoreNodes, AsyncDisposable {
  /**
   * Reports changes at and below a path, until `signal` aborts or the loop is left: neither is an error here. The first
   * event comes at once, so look after each event, and nothing is missed. Equal events that nobody has taken yet
   * are one; when a thousand wait they become one for the watched path. A lost connection is made again, with a fresh
   * event. `@introduceDomain` and `@releaseDomain` may be watched too.
   *
   * @throws {@link LunError} `XENSTORE_UNAVAILABLE` when xenstored is not reached, or is gone for too long.
   * @example
   * ```ts
   * import { createLocalHost, createXenstore } from 'xen-lun'
   *
   * await using xenstore = createXenstore(createLocalHost())
   * const path = 'backend/vbd/1/51712/hotplug-status'
   * for await (const _ of xenstore.watch(path, { signal: AbortSignal.timeout(40_000) })) {
   *   if ((await xenstore.tryRead(path)) === 'connected') break
   * }
   * ```
   */
  watch(path: string, options?: OperationOptions): AsyncIterable<XenstoreEvent>
  /**
   * Runs `task` in a transaction: all its changes are made at once when it resolves, none when it throws. When others
   * changed what it used, it runs again from the start, so it must have no other effects.
   *
   * @throws {@link LunError} `XENSTORE_CONFLICT` when that happens again and again; what `task` throws.
   * @example
   * ```ts
   * import { createLocalHost, createXenstore } from 'xen-lun'
   *
   * await using xenstore = createXenstore(createLocalHost())
   * await xenstore.transaction(async tx => {
   *   const count = Number((await tx.tryRead('/tool/example/count')) ?? 0)
   *   await tx.write({ '/tool/example/count': String(count + 1) })
   * })
   * ```
   */
  transaction<T>(task: (tx: XenstoreTransaction) => Promise<T>, options?: OperationOptions): Promise<T>
  /** Ends watches and whatever is under way, and disconnects. Later calls reject with `XENSTORE_UNAVAILABLE`. */
  close(): Promise<void>
}
