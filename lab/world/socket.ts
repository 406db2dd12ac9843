import { connect } from 'node:net'

/** How the answers on a socket begin. */
export interface Framing {
  readonly headBytes: number
  /** Length of the body that follows this head. */
  readonly bodyBytes: (head: Buffer) => number
}

/** The answer to one request on a local socket, head and body; undefined if nobody listens there. */
export const ask = (path: string, request: Buffer, { headBytes, bodyBytes }: Framing): Promise<Buffer | undefined> =>
  new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const socket = connect({ path })
    socket.setTimeout(30_000, () => socket.destroy(new Error(`no answer on ${path}`)))
    socket.on('connect', () => socket.write(request))
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      if (received.length >= headBytes && received.length >= headBytes + bodyBytes(received)) socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(undefined)
      else reject(error)
    })
    socket.on('close', () => resolve(received))
  })
