import { constants, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { ByteChannel, ChannelListener } from './byte-channel.ts'

// drivers/xen/xenbus/xenbus_dev_frontend.c: a buffer of XENSTORE_PAYLOAD_MAX bytes holds the header too.
const MAX_MESSAGE_BYTES = 4096
const READ_BYTES = 16_384
const FIRST_PAUSE_MS = 1
const LAST_PAUSE_MS = 50

/**
 * xenstored by way of the kernel's device, `/dev/xen/xenbus`.
 *
 * It is read without blocking, and looked at again and again: at once after a message, then ever less often, at most
 * every 50 ms. A read that blocks would occupy a thread of Node's pool until something comes, and nothing takes it back:
 * neither `close` nor `process.exit` returns before it does (seen, Node 20.20). libuv has no other way to wait for a
 * character device. Writes do go through the pool, since the kernel answers WATCH and UNWATCH before the write returns;
 * without xenstored such a write never ends, and holds that thread, but not its caller.
 *
 * Each message is one write: what follows a whole message in the same write is lost (xenbus_file_write). And each waits
 * for the answer to the one before: the kernel sends a message from the buffer into which the next is written
 * (xenbus_dev_request_and_reply), so that one of two would be the other's double (seen, Linux 6.12: of 300 values written
 * at once not all were there, without an error).
 */
export async function openXenstoreDevice(
  path: string,
  listener: ChannelListener,
  idleMs: number
): Promise<ByteChannel> {
  const file = await open(path, constants.O_RDWR | constants.O_NONBLOCK)
  const buffer = new Uint8Array(READ_BYTES)
  let writing = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let pauseMs = FIRST_PAUSE_MS
  let idle: NodeJS.Timeout | undefined
  let isBusy = true
  let isClosed = false

  const close = (): void => {
    if (isClosed) return
    isClosed = true
    clearTimeout(timer)
    clearTimeout(idle)
    // A descriptor that is closed under a write could be another file's by the time of the write.
    writing.then(async () => await file.close()).catch(() => {})
  }
  const fail = (error: unknown): void => {
    if (isClosed) return
    close()
    listener.onClose(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const look = (): void => {
    const length = isClosed ? undefined : readNow(file, buffer, fail)
    if (length === undefined) return
    pauseMs = length > 0 ? FIRST_PAUSE_MS : Math.min(LAST_PAUSE_MS, 2 * pauseMs)
    if (length > 0) listener.onBytes(buffer.slice(0, length))
    lookLater()
  }
  const lookLater = (): void => {
    clearTimeout(timer)
    if (isClosed) return
    timer = setTimeout(look, pauseMs)
    if (!isBusy) timer.unref()
  }
  lookLater()
  return {
    maxMessageBytes: MAX_MESSAGE_BYTES,
    isOneByOne: true,
    send: message => {
      if (isClosed) return
      writing = writing.then(async () => await write(file, message)).catch(fail)
      pauseMs = FIRST_PAUSE_MS
      lookLater()
    },
    setBusy: busy => {
      clearTimeout(idle)
      isBusy = busy
      if (!busy && !isClosed) idle = setTimeout(() => fail(new Error('idle')), idleMs).unref()
      lookLater()
    },
    close,
  }
}

/** How many bytes there were, or undefined when it failed. */
function readNow(file: FileHandle, buffer: Uint8Array, fail: (error: unknown) => void): number | undefined {
  try {
    const length = readSync(file.fd, buffer)
    if (length > 0) return length
    fail(new Error('end of file'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0
    fail(error)
  }
  return undefined
}

async function write(file: FileHandle, message: Uint8Array): Promise<void> {
  for (let at = 0; at < message.length; ) at += (await file.write(message, at)).bytesWritten
}
