import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { LunError } from '../core/error.ts'
import type { ByteChannel, ChannelListener, XenstoreConnect } from './byte-channel.ts'
import { openXenstoreDevice } from './xenstore-device.ts'

/** Where to look for xenstored. */
export interface XenstoreConnectionOptions {
  /** Sockets and devices to try, in this order. Default: as libxenstore does, `$XENSTORED_PATH` first. */
  readonly paths?: readonly string[]
  /** How long an idle connection stays open. Default 1 s. */
  readonly idleMs?: number
}

// One payload of XENSTORE_PAYLOAD_MAX behind its header, xen/include/public/io/xs_wire.h
const MAX_MESSAGE_BYTES = 16 + 4096
const IDLE_MS = 1000
const SOCKETS = ['/run/xenstored/socket', '/var/run/xenstored/socket']
const DEVICES = ['/dev/xen/xenbus', '/proc/xen/xenbus']

/**
 * Connections to the xenstored of this machine: `$XENSTORED_PATH`, or else `$XENSTORED_RUNDIR/socket`, or else
 * `/run/xenstored/socket`; then, where a device will do, `/dev/xen/xenbus` or `/proc/xen/xenbus` (Xen
 * tools/libs/store/xs.c). Driver domains have the device only, as has a dom0 with xenstored in a domain of its own.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE`; `signal.reason` on abort.
 * @example
 * ```ts
 * import { createLocalHost, createXenstore, createXenstoreConnection } from 'xen-lun'
 *
 * const xenstoreConnect = createXenstoreConnection({ paths: ['/run/elsewhere/xenstored.socket'] })
 * const xenstore = createXenstore({ ...createLocalHost(), xenstoreConnect })
 * ```
 */
export function createXenstoreConnection(options: XenstoreConnectionOptions = {}): XenstoreConnect {
  const { idleMs = IDLE_MS } = options
  return async (listener, { signal, allowDevice = false } = {}) => {
    const refusals: string[] = []
    for (const path of options.paths ?? defaultPaths()) {
      signal?.throwIfAborted()
      try {
        const isSocket = (await stat(path)).isSocket()
        if (isSocket) return await openSocket(path, listener, idleMs, signal)
        if (allowDevice) return await openXenstoreDevice(path, listener, idleMs)
        refusals.push(`${path}: is no socket`)
      } catch (error) {
        signal?.throwIfAborted()
        refusals.push(error instanceof Error ? error.message : String(error))
      }
    }
    const reason = `no connection: ${refusals.join('; ')}`
    throw new LunError('XENSTORE_UNAVAILABLE', `xenstore: ${reason}`, { reason })
  }
}

function defaultPaths(): readonly string[] {
  const { XENSTORED_PATH: path, XENSTORED_RUNDIR: folder } = process.env
  if (path !== undefined && path !== '') return [path]
  return [...(folder === undefined || folder === '' ? SOCKETS : [`${folder}/socket`]), ...DEVICES]
}

async function openSocket(
  path: string,
  listener: ChannelListener,
  idleMs: number,
  signal: AbortSignal | undefined
): Promise<ByteChannel> {
  const socket = connect({ path })
  try {
    await once(socket, 'connect', signal === undefined ? {} : { signal })
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    throw error
  }
  const hold = (isBusy: boolean): void => void (isBusy ? socket.ref() : socket.unref())
  return createSocketChannel(socket, path, listener, idleMs, hold)
}

function createSocketChannel(
  socket: Duplex,
  path: string,
  listener: ChannelListener,
  idleMs: number,
  hold: (isBusy: boolean) => void
): ByteChannel {
  let isClosed = false
  let idle: NodeJS.Timeout | undefined
  const close = (): void => {
    isClosed = true
    clearTimeout(idle)
    socket.destroy()
  }
  const lost = (reason: string): void => {
    if (isClosed) return
    close()
    listener.onClose(`${path}: ${reason}`)
  }
  socket.on('error', (error: Error) => lost(error.message))
  socket.on('end', () => lost('xenstored closed the connection'))
  socket.on('close', () => lost('closed'))
  socket.on('data', (bytes: Uint8Array) => {
    if (!isClosed) listener.onBytes(bytes)
  })
  return {
    maxMessageBytes: MAX_MESSAGE_BYTES,
    isOneByOne: false,
    send: message => {
      if (isClosed) return
      // Requests made in one turn leave in one writev.
      if (socket.writableCorked === 0) {
        socket.cork()
        process.nextTick(() => socket.uncork())
      }
      socket.write(message)
    },
    setBusy: isBusy => {
      clearTimeout(idle)
      if (isClosed) return
      hold(isBusy)
      if (!isBusy) idle = setTimeout(() => lost('idle'), idleMs).unref()
    },
    close,
  }
}
