import { LunError } from '../../core/error.ts'
import type { XenstoreConnect } from '../../host/byte-channel.ts'
import type { SimulatedProcess } from './process.ts'
import type { Xenstored } from './xenstored.ts'

const MAX_MESSAGE_BYTES = 16 + 4096

/** Connections of one process to the simulated xenstored. Each message waits for its turn, in its order. */
export function createXenstoredConnect(process: SimulatedProcess, xenstored: Xenstored): XenstoreConnect {
  return async (listener, { signal } = {}) => {
    signal?.throwIfAborted()
    await process.look('connect to xenstored')
    let isClosed = false
    let sending = Promise.resolve()
    const hears = (): boolean => !isClosed && !process.isDead()
    const session = xenstored.connect({
      onBytes: bytes => {
        if (hears()) listener.onBytes(bytes)
      },
      onClose: () => {
        if (hears()) listener.onClose('xenstored closed the connection')
        isClosed = true
      },
    })
    if (session === undefined) {
      const reason = 'no connection: xenstored does not run'
      throw new LunError('XENSTORE_UNAVAILABLE', `xenstore: ${reason}`, { reason })
    }
    const send = async (message: Uint8Array): Promise<void> => {
      await process.act('ask xenstored')
      // What was sent before the process closed its end is done all the same.
      session.receive(message)
    }
    return {
      maxMessageBytes: MAX_MESSAGE_BYTES,
      isOneByOne: false,
      send: message => {
        if (!isClosed) sending = sending.then(async () => await send(message))
      },
      setBusy: () => {},
      close: () => {
        isClosed = true
        sending = sending.then(() => session.close())
      },
    }
  }
}
