import { hasCode } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { withDeadline } from '../flow/deadline.ts'
import { retry } from '../flow/retry.ts'
import { unlessAborted } from '../flow/unless-aborted.ts'
import { type Connection, type ConnectionOptions, openConnection } from './connection.ts'
import { unavailable } from './errors.ts'
import { encodeStrings, MESSAGE } from './wire.ts'

/** Who hears of a watch. */
export interface WatchListener {
  onEvent(path: string): void
  /** The last call; with an error unless the link was closed. */
  onEnd(error?: unknown): void
}

/** Whatever connection there is to xenstored, made when it is needed. */
export interface Link {
  connection(options?: OperationOptions): Promise<Connection>
  /** Watches until the returned function is called, over one connection after the other. */
  watch(path: string, listener: WatchListener): Promise<() => void>
  close(): void
}

interface Watch extends WatchListener {
  readonly path: string
  /** Where it is registered, or about to be. */
  at: { readonly connection: Connection; readonly done: Promise<void>; readonly release: () => void } | undefined
}

const FIRST_PAUSE_MS = 20
const MAX_PAUSE_MS = 1000
const CLOSED = 'this Xenstore was closed'

export function createLink(options: ConnectionOptions): Link {
  const { clock, timeoutMs } = options
  const stop = new AbortController()
  const watches = new Map<string, Watch>()
  let current: Connection | undefined
  let opening: Promise<Connection> | undefined
  let lastToken = 0
  let isReviving = false

  const open = async (): Promise<Connection> => {
    const listener = {
      onWatchEvent: (path: string, token: string) => watches.get(token)?.onEvent(path),
      onLost: () => {
        current = undefined
        void revive()
      },
    }
    const awaited = (): string => 'a connection to xenstored'
    try {
      const connect = async (signal: AbortSignal) => await openConnection(options, listener, signal)
      current = await withDeadline(clock, { signal: stop.signal, timeoutMs, awaited }, connect)
    } catch (error) {
      if (!hasCode('TIMEOUT')(error)) throw error
      throw unavailable(`no connection within ${timeoutMs} ms`, { cause: error })
    }
    if (stop.signal.aborted) current.close(CLOSED)
    if (!current.isOpen()) throw unavailable('the connection was closed at once')
    for (const [token, watch] of watches) register(current, token, watch)
    return current
  }

  const connection = async ({ signal }: OperationOptions = {}): Promise<Connection> => {
    signal?.throwIfAborted()
    stop.signal.throwIfAborted()
    if (current !== undefined) return current
    opening ??= open().finally(() => {
      opening = undefined
    })
    return await unlessAborted(opening, signal)
  }

  const register = (at: Connection, token: string, watch: Watch): void => {
    if (watch.at?.connection === at) return
    const release = at.hold()
    const done = at.ask({ type: MESSAGE.watch, path: watch.path, payload: encodeStrings(watch.path, token) }).then(
      () => {},
      (error: unknown) => {
        release()
        // Where the connection went the watch does not: it moves on to the next one.
        if (at.isOpen() && watches.delete(token)) watch.onEnd(error)
        throw error
      }
    )
    done.catch(() => {})
    watch.at = { connection: at, done, release }
  }

  const unregister = (token: string): void => {
    const watch = watches.get(token)
    if (!watches.delete(token) || watch?.at === undefined) return
    const { connection: at, release } = watch.at
    release()
    if (!at.isOpen()) return
    // Nobody waits: what comes until xenstored has read it is dropped for want of the token.
    at.ask({ type: MESSAGE.unwatch, path: watch.path, payload: encodeStrings(watch.path, token) }).catch(() => {})
  }

  /** Connects again for the sake of the watches. xenstored then sends each an event, as for a new one. */
  const revive = async (): Promise<void> => {
    if (isReviving) return
    isReviving = true
    const reopen = async (): Promise<void> => {
      const at = await connection()
      for (const [token, watch] of watches) register(at, token, watch)
      const settled = await Promise.allSettled([...watches.values()].map(async watch => await watch.at?.done))
      // One that is refused by name has heard of it; the others live on.
      if (!at.isOpen()) throw unavailable(`the connection was closed before ${settled.length} watches were back`)
    }
    const patience = { withinMs: timeoutMs, firstPauseMs: FIRST_PAUSE_MS, maxPauseMs: MAX_PAUSE_MS }
    try {
      while (watches.size > 0 && current === undefined && !stop.signal.aborted) {
        await retry(clock, reopen, { ...patience, isPassing: hasCode('XENSTORE_UNAVAILABLE'), signal: stop.signal })
      }
    } catch (error) {
      const lost = [...watches.values()]
      watches.clear()
      for (const watch of lost) watch.onEnd(error)
    } finally {
      isReviving = false
    }
  }

  return {
    connection,
    watch: async (path, listener) => {
      const token = `xen-lun-${++lastToken}`
      const watch: Watch = { ...listener, path, at: undefined }
      const at = await connection()
      watches.set(token, watch)
      register(at, token, watch)
      try {
        await watch.at?.done
      } catch (error) {
        watches.delete(token)
        throw error
      }
      return () => unregister(token)
    },
    close: () => {
      if (stop.signal.aborted) return
      const ended = [...watches.values()]
      watches.clear()
      stop.abort(unavailable(CLOSED))
      current?.close(CLOSED)
      for (const watch of ended) watch.onEnd()
    },
  }
}
