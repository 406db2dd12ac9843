import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { onAbort } from '../flow/on-abort.ts'
import type { ByteChannel, XenstoreConnect } from '../host/byte-channel.ts'
import type { Clock } from '../host/clock.ts'
import { refusal, unavailable, xenstoreInvalid } from './errors.ts'
import {
  createFrameDecoder,
  decodeStrings,
  encodeFrame,
  type Frame,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  MESSAGE,
  type MessageType,
} from './wire.ts'

/** How to reach xenstored, and how patiently. */
export interface ConnectionOptions {
  readonly connect: XenstoreConnect
  readonly clock: Clock
  readonly timeoutMs: number
  readonly allowDevice: boolean
}

/** Who hears of what nobody asked for. */
export interface ConnectionListener {
  onWatchEvent(path: string, token: string): void
  /** It is gone; nothing asked for will be answered any more. */
  onLost(): void
}

/** One request. `path` is for errors. */
export interface Request {
  readonly type: MessageType
  readonly path: string
  readonly payload: Uint8Array
  readonly transactionId?: number
}

/** An open connection to xenstored. */
export interface Connection {
  isOpen(): boolean
  /** Sends as soon as the channel lets it, and waits for the answer. A call that is aborted leaves the answer to nobody. */
  ask(request: Request, options?: OperationOptions): Promise<Uint8Array>
  /** Keeps it from being taken for idle, until the returned function is called. */
  hold(): () => void
  close(reason: string): void
}

interface Pending {
  readonly request: Request
  readonly deadlineMs: number
  readonly resolve: (payload: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

interface Waiting extends Pick<Pending, 'request' | 'reject'> {
  readonly send: () => void
}

const MAX_ID = 0xffff_ffff

export async function openConnection(
  { connect, clock, timeoutMs, allowDevice }: ConnectionOptions,
  listener: ConnectionListener,
  signal: AbortSignal
): Promise<Connection> {
  const decoder = createFrameDecoder()
  /** In the order of their deadlines, since all may take equally long. */
  const pending = new Map<number, Pending>()
  /** Not sent yet. */
  const waiting: Waiting[] = []
  let channel: ByteChannel | undefined
  let lastId = 0
  let holds = 0
  let isOpen = true
  let stopWaiting: AbortController | undefined

  const lose = (reason: string): void => {
    if (!isOpen) return
    isOpen = false
    stopWaiting?.abort()
    for (const { request, reject } of [...pending.values(), ...waiting.splice(0)])
      reject(unavailable(`${reason}; asked for ${request.path}`))
    pending.clear()
    listener.onLost()
  }
  const close = (reason: string): void => {
    channel?.close()
    lose(reason)
  }
  const receive = (frame: Frame): void => {
    if (frame.type === MESSAGE.watchEvent) {
      const [path, token] = decodeStrings(frame.payload)
      if (path === undefined || token === undefined) throw unavailable('garbled: an event of nothing')
      return listener.onWatchEvent(path, token)
    }
    const requestId = pending.has(frame.requestId) ? frame.requestId : requestMeant(frame, pending)
    const asked = pending.get(requestId)
    if (asked === undefined) throw unavailable(`garbled: an answer to request ${frame.requestId}, which is none`)
    const { type, path } = asked.request
    if (frame.type !== type && frame.type !== MESSAGE.error) {
      throw unavailable(`garbled: an answer of type ${frame.type} to a request of type ${type}`)
    }
    pending.delete(requestId)
    if (frame.type === type) asked.resolve(frame.payload)
    else asked.reject(refusal(decodeStrings(frame.payload)[0] ?? '', path))
    sendWaiting()
    noteUse()
  }
  const onBytes = (bytes: Uint8Array): void => {
    try {
      for (const frame of decoder.push(bytes)) if (isOpen) receive(frame)
    } catch (error) {
      close(isLunError(error, 'XENSTORE_UNAVAILABLE') ? error.details.reason : String(error))
    }
  }
  const noteUse = (): void => {
    if (!isOpen) return
    channel?.setBusy(pending.size + holds > 0)
    if (pending.size === 0) {
      stopWaiting?.abort()
      stopWaiting = undefined
    } else if (stopWaiting === undefined) {
      stopWaiting = new AbortController()
      void expire(stopWaiting.signal)
    }
  }
  /** One timer for all: the first request is the first that is late. Whoever does not answer one answers none behind it. */
  const expire = async (stop: AbortSignal): Promise<void> => {
    for (;;) {
      const [first] = pending.values()
      const leftMs = first === undefined ? timeoutMs : first.deadlineMs - clock.now()
      if (leftMs <= 0) return close(`no answer within ${timeoutMs} ms`)
      await clock.sleep(leftMs, stop).catch(() => {})
      if (stop.aborted) return
    }
  }
  const sendWaiting = (): void => {
    const most = channel?.isOneByOne === true ? 1 : Number.POSITIVE_INFINITY
    while (waiting.length > 0 && pending.size < most) waiting.shift()?.send()
  }
  const nextId = (): number => {
    do lastId = lastId === MAX_ID ? 1 : lastId + 1
    while (pending.has(lastId))
    return lastId
  }
  const ask = async (request: Request, { signal: abort }: OperationOptions = {}): Promise<Uint8Array> => {
    abort?.throwIfAborted()
    const { type, path, payload, transactionId = 0 } = request
    if (channel === undefined || !isOpen) throw unavailable('the connection is closed')
    const carrier = channel
    const most = Math.min(MAX_PAYLOAD_BYTES, carrier.maxMessageBytes - HEADER_BYTES)
    if (payload.length > most) throw xenstoreInvalid(path, `asks for a message of ${payload.length} bytes`)
    let ignore = (): void => {}
    try {
      return await new Promise((resolve, reject) => {
        const send = (): void => {
          const requestId = nextId()
          pending.set(requestId, { request, deadlineMs: clock.now() + timeoutMs, resolve, reject })
          carrier.send(encodeFrame({ type, requestId, transactionId, payload }))
        }
        const own = { request, reject, send }
        ignore = onAbort(abort, () => {
          const at = waiting.indexOf(own)
          if (at >= 0) waiting.splice(at, 1)
          reject(abort?.reason as Error)
        })
        waiting.push(own)
        sendWaiting()
        noteUse()
      })
    } finally {
      ignore()
    }
  }
  const hold = (): (() => void) => {
    let isHeld = true
    holds++
    noteUse()
    return () => {
      if (isHeld) holds--
      isHeld = false
      noteUse()
    }
  }
  channel = await connect({ onBytes, onClose: lose }, { signal, allowDevice })
  if (!isOpen) throw unavailable('the connection was closed at once')
  noteUse()
  return { isOpen: () => isOpen, ask, hold, close }
}

/**
 * The kernel's device answers WATCH and UNWATCH itself, and in their order, but names no request
 * (drivers/xen/xenbus/xenbus_dev_frontend.c, xenbus_write_watch).
 */
function requestMeant({ type, requestId }: Frame, pending: ReadonlyMap<number, Pending>): number {
  const isUnnamed = requestId === 0 && (type === MESSAGE.watch || type === MESSAGE.unwatch)
  const [oldest] = isUnnamed ? [...pending].filter(([, { request }]) => request.type === type) : []
  return oldest?.[0] ?? requestId
}
