import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Host } from '../host/host.ts'
import { createXenstoreByCommands } from './by-commands.ts'
import { unavailable } from './errors.ts'
import { createNativeXenstore, type NativeXenstore } from './native.ts'
import type { Xenstore } from './types.ts'

/** How {@link createXenstore} reaches xenstored. */
export interface XenstoreOptions {
  /**
   * - `auto`, the default: over the socket of xenstored where the host offers it and it takes the connection, else by
   *   commands. Once it has, commands are not tried any more.
   * - `native`: over the socket, or the kernel's device where there is none, as in a driver domain.
   * - `commands`: by the `xenstore-*` commands, a process for each call.
   */
  readonly transport?: 'auto' | 'native' | 'commands'
  /** How long xenstored may take to answer a call. Default 10 s. */
  readonly timeoutMs?: number
}

/** What of a {@link Host} xenstore is reached by; without `xenstoreConnect` and `clock`, by commands only. */
export type XenstoreHost = Pick<Host, 'executor'> & Partial<Pick<Host, 'clock' | 'xenstoreConnect'>>

// Until xenstored runs, a read of /dev/xen/xenbus waits for ever.
const TIMEOUT_MS = 10_000

/**
 * Xenstore over a connection to xenstored, or by means of the `xenstore-*` commands, which work wherever Xen's tools do.
 * The commands cannot watch, make an empty node, tell permissions, or do anything but write in a transaction: such a
 * call rejects at once with `XENSTORE_UNAVAILABLE`. Nor can they tell a missing path from a forbidden one: both read
 * as `XENSTORE_NOT_FOUND`. Nothing is forbidden to dom0.
 *
 * A connection is made by the first call, and again after it was lost. An idle one closes after a second and keeps no
 * process alive, so `close` is needed only where one is to end at once.
 *
 * @example
 * ```ts
 * import { createLocalHost, createXenstore } from 'xen-lun'
 *
 * const xenstore = createXenstore(createLocalHost())
 * const path = 'backend/vbd/1/51712'
 * console.log(await xenstore.read(`${path}/params`))
 * await xenstore.write({ [`${path}/physical-device`]: 'fe:0', [`${path}/hotplug-status`]: 'connected' })
 * ```
 */
export function createXenstore(host: XenstoreHost, options: XenstoreOptions = {}): Xenstore {
  const { transport = 'auto', timeoutMs = TIMEOUT_MS } = options
  const { executor, clock, xenstoreConnect: connect } = host
  const commands = createXenstoreByCommands(executor, timeoutMs)
  if (transport === 'commands') return commands
  if (connect === undefined || clock === undefined) {
    if (transport === 'auto') return commands
    throw unavailable('this host offers no connection to xenstored: it has no xenstoreConnect')
  }
  const native = createNativeXenstore({ connect, clock, timeoutMs, allowDevice: transport === 'native' })
  return transport === 'native' ? native : createEither(native, commands)
}

/** `native` where it can be reached, and from then on; `commands` until then. */
function createEither(native: NativeXenstore, commands: Xenstore): Xenstore {
  let hasConnected = false
  const pick = async (options: OperationOptions | undefined): Promise<Xenstore> => {
    try {
      if (!hasConnected) await native.link.connection(options)
      hasConnected = true
      return native
    } catch (error) {
      if (isLunError(error, 'XENSTORE_UNAVAILABLE')) return commands
      throw error
    }
  }
  const close = async (): Promise<void> => {
    await native.close()
    await commands.close()
  }
  return {
    read: async (path, options) => await (await pick(options)).read(path, options),
    tryRead: async (path, options) => await (await pick(options)).tryRead(path, options),
    readBytes: async (path, options) => await (await pick(options)).readBytes(path, options),
    write: async (values, options) => await (await pick(options)).write(values, options),
    mkdir: async (path, options) => await (await pick(options)).mkdir(path, options),
    rm: async (path, options) => await (await pick(options)).rm(path, options),
    list: async (path, options) => await (await pick(options)).list(path, options),
    exists: async (path, options) => await (await pick(options)).exists(path, options),
    getPermissions: async (path, options) => await (await pick(options)).getPermissions(path, options),
    setPermissions: async (path, permissions, options) =>
      await (await pick(options)).setPermissions(path, permissions, options),
    transaction: async (task, options) => await (await pick(options)).transaction(task, options),
    // Commands could not either.
    watch: (path, options) => native.watch(path, options),
    close,
    [Symbol.asyncDispose]: close,
  }
}
