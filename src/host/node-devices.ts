import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import type { ReadAtOptions } from './files.ts'

const { O_DIRECT, O_EXCL, O_NONBLOCK, O_RDONLY } = constants

/** As {@link Files.readAt} wants it. */
export async function readAt(
  path: string,
  offset: number,
  length: number,
  { isDirect = false }: ReadAtOptions = {}
): Promise<Uint8Array> {
  const file = await fs.open(path, isDirect ? O_RDONLY | O_DIRECT : O_RDONLY)
  try {
    const { buffer, bytesRead } = await file.read(isDirect ? pages(length) : Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Node has it; the types of Node 20 do not. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}
const WASM_PAGE_BYTES = 65_536

/** Memory that begins on a page, as O_DIRECT wants it; that of a Buffer begins anywhere. */
function pages(length: number): Uint8Array {
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil(length / WASM_PAGE_BYTES) })
  return new Uint8Array(buffer, 0, length)
}

/** As {@link Files.isClaimed} wants it. */
export async function isClaimed(path: string): Promise<boolean | undefined> {
  try {
    // Without blocking for what is no block device but a FIFO; a block device does not care.
    const file = await fs.open(path, O_RDONLY | O_EXCL | O_NONBLOCK)
    await file.close()
    return false
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'EBUSY') return true
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    // bdev_open() in block/bdev.c claims first, and asks the driver then: these are a driver's answers.
    if (NO_ANSWER.includes(code)) return false
    throw error
  }
}

const NO_ANSWER = ['ENXIO', 'EIO', 'ENODEV', 'ENOMEDIUM', 'ETIMEDOUT', 'EREMOTEIO', 'ENOLINK']
