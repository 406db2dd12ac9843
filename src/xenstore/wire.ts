import { unavailable } from './errors.ts'

/** Types of messages, xen/include/public/io/xs_wire.h. */
export const MESSAGE = {
  directory: 1,
  read: 2,
  getPermissions: 3,
  watch: 4,
  unwatch: 5,
  transactionStart: 6,
  transactionEnd: 7,
  write: 11,
  mkdir: 12,
  remove: 13,
  setPermissions: 14,
  watchEvent: 15,
  error: 16,
  directoryPart: 22,
} as const

export type MessageType = (typeof MESSAGE)[keyof typeof MESSAGE]

/** One message, either way. */
export interface Frame {
  readonly type: number
  /** Chosen by who asks, and repeated in the answer; 0 in a watch event. */
  readonly requestId: number
  /** 0 outside of transactions. */
  readonly transactionId: number
  readonly payload: Uint8Array
}

export const HEADER_BYTES = 16
/** XENSTORE_PAYLOAD_MAX. xenstored cuts off who sends more. */
export const MAX_PAYLOAD_BYTES = 4096
// The header is a C struct: four 32-bit numbers in the machine's own order.
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1
const WORD_BYTES = 4

/** The message as it is sent. The payload has been checked to fit. */
export function encodeFrame({ type, requestId, transactionId, payload }: Frame): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + payload.length)
  const view = new DataView(message.buffer)
  for (const [n, word] of [type, requestId, transactionId, payload.length].entries()) {
    view.setUint32(n * WORD_BYTES, word, IS_LITTLE_ENDIAN)
  }
  message.set(payload, HEADER_BYTES)
  return message
}

/** Makes messages of bytes that come in any pieces. */
export interface FrameDecoder {
  /** @throws {@link LunError} `XENSTORE_UNAVAILABLE` for what cannot be a message; then it must be used no more. */
  push(bytes: Uint8Array): readonly Frame[]
}

export function createFrameDecoder(): FrameDecoder {
  let held = new Uint8Array(0)
  return {
    push: bytes => {
      const all = concat([held, bytes])
      const frames: Frame[] = []
      let at = 0
      for (;;) {
        const frame = readFrame(all, at)
        if (frame === undefined) break
        frames.push(frame)
        at += HEADER_BYTES + frame.payload.length
      }
      held = all.slice(at)
      return frames
    },
  }
}

function readFrame(bytes: Uint8Array, at: number): Frame | undefined {
  if (bytes.length - at < HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
  const word = (n: number): number => view.getUint32(n * WORD_BYTES, IS_LITTLE_ENDIAN)
  const length = word(3)
  if (length > MAX_PAYLOAD_BYTES) throw unavailable(`garbled: a message of ${length} bytes`)
  const start = at + HEADER_BYTES
  if (bytes.length < start + length) return undefined
  // A copy: the caller's buffer may be used again, and a short answer should not keep a long one alive.
  return { type: word(0), requestId: word(1), transactionId: word(2), payload: bytes.slice(start, start + length) }
}

/** Each text followed by a NUL, as all requests are made but for the value of a WRITE. */
export function encodeStrings(...texts: readonly string[]): Uint8Array {
  return new TextEncoder().encode(texts.map(text => `${text}\0`).join(''))
}

/** The texts between the NULs. */
export function decodeStrings(payload: Uint8Array): readonly string[] {
  const text = decodeText(payload)
  return text === '' ? [] : text.replace(/\0$/, '').split('\0')
}

/** Bytes that are not UTF-8 become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
