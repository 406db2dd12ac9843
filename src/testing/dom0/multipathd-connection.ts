import { Duplex } from 'node:stream'
import type { Clock } from '../../host/clock.ts'
import type { SimulatedProcess } from './process.ts'

const LENGTH_BYTES = 8
const ANSWER_MS = 1

/**
 * A connection to the simulated multipathd: a length of 8 bytes, which counts the NUL at the end, then the text; the same
 * way back (multipath-tools libmpathcmd/mpath_cmd.c). `listen` answers one line, or is undefined where nobody listens.
 */
export function createConnection(
  process: SimulatedProcess,
  clock: Clock,
  listen: () => ((line: string) => string) | undefined
): Duplex {
  let received = Buffer.alloc(0)
  const answer = async (line: string): Promise<void> => {
    await process.act(`ask multipathd: ${line}`)
    // The daemon does what it was told, whether or not we live to hear of it.
    await clock.sleep(ANSWER_MS)
    const text = listen()?.(line)
    // A daemon that has gone away closes without a word.
    if (!process.isDead()) socket.push(text === undefined ? null : frame(text))
  }
  const socket = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      received = Buffer.concat([received, chunk])
      const length = received.length < LENGTH_BYTES ? Number.POSITIVE_INFINITY : Number(received.readBigUInt64LE())
      if (received.length >= LENGTH_BYTES + length) {
        void answer(received.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length - 1))
      }
      done()
    },
  })
  queueMicrotask(() => {
    if (listen() === undefined) socket.destroy(Object.assign(new Error('ECONNREFUSED'), { code: 'ECONNREFUSED' }))
    else socket.emit('connect')
  })
  return socket
}

function frame(text: string): Buffer {
  const body = Buffer.from(`${text}\0`)
  const head = Buffer.alloc(LENGTH_BYTES)
  head.writeBigUInt64LE(BigInt(body.length))
  return Buffer.concat([head, body])
}
