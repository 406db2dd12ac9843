import type { XenstoreModel, XenstoreTransactionModel } from './xenstore.ts'
import { type NodesView, Refusal, type StoredChange } from './xenstore-nodes.ts'

/** Where the other end of a connection hears of xenstored. */
export interface XenstoredClient {
  onBytes(bytes: Uint8Array): void
  /** xenstored has closed it. */
  onClose(): void
}

/** The end of a connection that xenstored has. */
export interface XenstoredSession {
  /** Bytes of requests, in any pieces. */
  receive(bytes: Uint8Array): void
  close(): void
}

/** The daemon: speaks the protocol of Xen docs/misc/xenstore.txt. */
export interface Xenstored {
  isRunning(): boolean
  start(): void
  /** Closes all connections; what it knows it knows again when it is started. */
  stop(): void
  /** Connects a domain; undefined while nobody listens. */
  connect(client: XenstoredClient, domid?: number): XenstoredSession | undefined
}

interface Request {
  readonly type: number
  readonly requestId: number
  readonly transactionId: number
  readonly payload: Buffer
}

const HEADER_BYTES = 16
const MAX_PAYLOAD = 4096
const WATCH_EVENT = 15
const ERROR = 16

export function createXenstored(model: XenstoreModel): Xenstored {
  const sessions = new Set<() => void>()
  let isRunning = true
  return {
    isRunning: () => isRunning,
    start: () => {
      isRunning = true
    },
    stop: () => {
      isRunning = false
      for (const end of sessions) end()
    },
    connect: (client, domid = 0) => {
      if (!isRunning) return undefined
      const session = createSession(model, client, domid)
      const end = (): void => {
        if (!sessions.delete(end)) return
        session.close()
        client.onClose()
      }
      sessions.add(end)
      return {
        receive: bytes => {
          if (sessions.has(end) && !session.receive(bytes)) end()
        },
        close: () => {
          sessions.delete(end)
          session.close()
        },
      }
    },
  }
}

/** `receive` answers false when the connection has to be closed. */
function createSession(
  model: XenstoreModel,
  client: XenstoredClient,
  domid: number
): { receive(bytes: Uint8Array): boolean; close(): void } {
  const transactions = new Map<number, XenstoreTransactionModel>()
  const watches: { readonly path: string; readonly token: string }[] = []
  let received = Buffer.alloc(0)
  let lastTransaction = 0

  const send = (type: number, requestId: number, transactionId: number, payload: Uint8Array): void =>
    client.onBytes(frame(type, requestId, transactionId, payload))
  const sendEvent = (path: string, token: string): void => send(WATCH_EVENT, 0, 0, Buffer.from(`${path}\0${token}\0`))
  const stopListening = model.onChange(({ path, isExact }: StoredChange) => {
    for (const { path: event, token } of watches) if (event.startsWith('@') && event === path) sendEvent(event, token)
    for (const watch of watches.filter(({ path: watched }) => !watched.startsWith('@'))) {
      const full = fullPath(watch.path, domid)
      const isBelow = full === '/' || path.startsWith(`${full}/`)
      if (path !== full && (isExact || !isBelow)) continue
      const home = watch.path.startsWith('/') ? '' : fullPath('', domid)
      sendEvent(path.slice(home.length), watch.token)
    }
  })
  const watch = (path: string, token: string): void => {
    if (!path.startsWith('@')) fullPath(path, domid)
    if (watches.some(other => other.path === path && other.token === token)) throw new Refusal('EEXIST')
    watches.push({ path, token })
  }
  const unwatch = (path: string, token: string): void => {
    const at = watches.findIndex(other => other.path === path && other.token === token)
    if (at < 0) throw new Refusal('ENOENT')
    watches.splice(at, 1)
  }
  const endTransaction = (id: number, verdict: string): void => {
    const transaction = transactions.get(id)
    if (transaction === undefined) throw new Refusal('ENOENT')
    transactions.delete(id)
    if (verdict === 'T') transaction.commit()
  }
  const answerTo = ({ type, transactionId, payload }: Request): Uint8Array => {
    const words = payload.toString().split('\0')
    const [first = '', second = ''] = words
    if (type === 4) watch(first, second)
    else if (type === 5) unwatch(first, second)
    else if (type === 6) {
      transactions.set(++lastTransaction, model.begin(domid))
      return Buffer.from(`${lastTransaction}\0`)
    } else if (type === 7) endTransaction(transactionId, first)
    else {
      const view = transactionId === 0 ? model.view(domid) : transactions.get(transactionId)?.view
      if (view === undefined) throw new Refusal('ENOENT')
      return onNode(view, type, fullPath(first, domid), payload)
    }
    return OK
  }
  return {
    close: () => {
      stopListening()
      transactions.clear()
      watches.length = 0
    },
    receive: bytes => {
      received = Buffer.concat([received, bytes])
      while (received.length >= HEADER_BYTES) {
        const length = received.readUInt32LE(12)
        if (length > MAX_PAYLOAD) return false
        if (received.length < HEADER_BYTES + length) return true
        const [type, requestId, transactionId] = [0, 4, 8].map(at => received.readUInt32LE(at)) as [
          number,
          number,
          number,
        ]
        const request = { type, requestId, transactionId, payload: received.subarray(16, HEADER_BYTES + length) }
        received = received.subarray(HEADER_BYTES + length)
        try {
          const payload = answerTo(request)
          if (payload.length > MAX_PAYLOAD) throw new Refusal('E2BIG')
          send(type, requestId, transactionId, payload)
          const [path = '', token = ''] = request.payload.toString().split('\0')
          if (type === 4) sendEvent(path, token)
        } catch (error) {
          if (!(error instanceof Refusal)) throw error
          send(ERROR, requestId, transactionId, Buffer.from(`${error.errno}\0`))
        }
      }
      return true
    },
  }
}

const OK = Buffer.from('OK\0')

function onNode(view: NodesView, type: number, path: string, payload: Buffer): Uint8Array {
  const strings = (texts: readonly string[]): Buffer => Buffer.from(texts.map(text => `${text}\0`).join(''))
  const words = payload.toString().split('\0').slice(1, -1)
  if (type !== 11 && payload.at(-1) !== 0) throw new Refusal('EINVAL')
  switch (type) {
    case 1:
      return strings(view.list(path).children)
    case 2:
      return view.read(path)
    case 3:
      return strings(view.permissions(path))
    case 11:
      view.write(path, Uint8Array.from(payload.subarray(payload.indexOf(0) + 1)))
      return OK
    case 12:
      view.mkdir(path)
      return OK
    case 13:
      view.remove(path)
      return OK
    case 14:
      view.setPermissions(path, words)
      return OK
    case 22: {
      const { children, generation } = view.list(path)
      return partOf(strings(children), Number(words[0]), `${generation}\0`)
    }
    default:
      throw new Refusal('ENOSYS')
  }
}

/** As many whole names as fit; an empty one behind the last. */
function partOf(names: Buffer, offset: number, head: string): Buffer {
  const room = MAX_PAYLOAD - head.length - 1
  const rest = names.subarray(offset)
  if (rest.length <= room) return Buffer.concat([Buffer.from(head), rest, Buffer.from([0])])
  return Buffer.concat([Buffer.from(head), rest.subarray(0, rest.lastIndexOf(0, room - 1) + 1)])
}

function frame(type: number, requestId: number, transactionId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(HEADER_BYTES)
  for (const [n, word] of [type, requestId, transactionId, payload.length].entries()) head.writeUInt32LE(word, 4 * n)
  return Buffer.concat([head, payload])
}

/** Relative paths begin at the home of the domain. */
export function fullPath(path: string, domid: number): string {
  if (!/^[A-Za-z0-9/_@-]*$/.test(path) || path.startsWith('@')) throw new Refusal('EINVAL')
  if (path.startsWith('/')) return path
  return `/local/domain/${domid}/${path}`
}
