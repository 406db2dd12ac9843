import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createNodeClock } from '../../src/host/node-clock.ts'
import { createXenstoreConnection } from '../../src/host/xenstore-connection.ts'
import { createXenstoreModel, type XenstoreModel } from '../../src/testing/dom0/xenstore.ts'
import { createXenstored, type Xenstored } from '../../src/testing/dom0/xenstored.ts'
import type { Xenstore } from '../../src/xenstore/types.ts'
import { createXenstore, type XenstoreHost, type XenstoreOptions } from '../../src/xenstore/xenstore.ts'

/** A folder that goes with the test. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'xen-lun-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The simulated xenstored on a real socket. */
export interface Daemon {
  readonly path: string
  readonly model: XenstoreModel
  readonly xenstored: Xenstored
  /** Types of the requests, in their order. */
  readonly requests: number[]
  /** How many connections there have been. */
  connections(): number
  openConnections(): number
  stop(): Promise<void>
  start(): Promise<void>
}

export async function startDaemon({ domid = 0 }: { readonly domid?: number } = {}): Promise<Daemon> {
  const path = join(makeFolder(), 'socket')
  const model = createXenstoreModel()
  const xenstored = createXenstored(model)
  const requests: number[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  let server: Server | undefined
  const accept = (socket: Socket): void => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const session = xenstored.connect(
      { onBytes: bytes => void socket.write(bytes), onClose: () => socket.destroy() },
      domid
    )
    socket.on('data', bytes => {
      noteTypes(bytes, requests)
      session?.receive(bytes)
    })
    socket.on('close', () => session?.close())
  }
  const stop = async (): Promise<void> => {
    xenstored.stop()
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => (server === undefined ? resolve(undefined) : server.close(resolve)))
    server = undefined
  }
  const start = async (): Promise<void> => {
    xenstored.start()
    server = createServer(accept)
    await new Promise<void>(resolve => server?.listen(path, resolve))
  }
  await start()
  onTestFinished(stop)
  return {
    path,
    model,
    xenstored,
    requests,
    connections: () => connections,
    openConnections: () => sockets.size,
    stop,
    start,
  }
}

/** Good for whole requests only, as our client writes them. */
function noteTypes(bytes: Buffer, requests: number[]): void {
  for (let at = 0; at + 16 <= bytes.length; at += 16 + bytes.readUInt32LE(at + 12))
    requests.push(bytes.readUInt32LE(at))
}

/** A server that answers as it likes. */
export async function startServer(accept: (socket: Socket) => void): Promise<string> {
  const path = join(makeFolder(), 'socket')
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    accept(socket)
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  return path
}

export const executor = { exec: async () => await Promise.reject(new Error('no command is to be run')) }

export function createHost(path: string, idleMs?: number): XenstoreHost {
  const options = { paths: [path], ...(idleMs !== undefined && { idleMs }) }
  return { executor, clock: createNodeClock(), xenstoreConnect: createXenstoreConnection(options) }
}

export function createClient(path: string, options: XenstoreOptions & { readonly idleMs?: number } = {}): Xenstore {
  const xenstore = createXenstore(createHost(path, options.idleMs), { transport: 'native', ...options })
  onTestFinished(async () => await xenstore.close())
  return xenstore
}

/** A message as xenstored sends it. */
export function message(type: number, requestId: number, payload: string | Uint8Array): Buffer {
  const body = Buffer.from(payload)
  const head = Buffer.alloc(16)
  head.writeUInt32LE(type, 0)
  head.writeUInt32LE(requestId, 4)
  head.writeUInt32LE(body.length, 12)
  return Buffer.concat([head, body])
}
