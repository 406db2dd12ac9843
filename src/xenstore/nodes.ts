import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Connection } from './connection.ts'
import { conflict, unavailable } from './errors.ts'
import { checkXenstoreValue, toBytes, type XenstorePath, xenstorePath } from './path.ts'
import { formatPermissions, parsePermissions } from './permissions.ts'
import type { XenstoreNodes, XenstoreValues } from './types.ts'
import { concat, decodeStrings, decodeText, encodeStrings, MESSAGE, type MessageType } from './wire.ts'

/** Where requests go: a connection, and there a transaction or none. */
export interface Place {
  readonly connection: Connection
  readonly transactionId: number
}

export type Pairs = readonly (readonly [XenstorePath, Uint8Array])[]

/** Everything but `write`, which is a transaction of its own outside of one. */
export function createNodes(
  locate: (path: XenstorePath, options: OperationOptions | undefined) => Promise<Place>
): Omit<XenstoreNodes, 'write'> {
  const ask = async (
    type: MessageType,
    text: string,
    options: OperationOptions | undefined,
    words: readonly string[] = []
  ): Promise<Uint8Array> => {
    const path = xenstorePath(text)
    return await askAt(await locate(path, options), type, path, encodeStrings(path, ...words), options)
  }
  const read = async (path: string, options?: OperationOptions): Promise<string> =>
    decodeText(await ask(MESSAGE.read, path, options))
  return {
    read,
    readBytes: async (path, options) => await ask(MESSAGE.read, path, options),
    tryRead: async (path, options) => await unlessAbsent(read(path, options), undefined),
    exists: async (path, options) => {
      const reading = ask(MESSAGE.read, path, options).then(() => true)
      return await unlessAbsent(reading, false)
    },
    mkdir: async (path, options) => void (await ask(MESSAGE.mkdir, path, options)),
    // ENOENT: not even the parent is there.
    rm: async (path, options) => void (await unlessAbsent(ask(MESSAGE.remove, path, options), undefined)),
    list: async (text, options) => {
      const path = xenstorePath(text)
      return await list(await locate(path, options), path, options)
    },
    getPermissions: async (path, options) =>
      parsePermissions(decodeStrings(await ask(MESSAGE.getPermissions, path, options))),
    setPermissions: async (path, permissions, options) => {
      const words = formatPermissions(path, permissions)
      await ask(MESSAGE.setPermissions, path, options, words)
    },
  }
}

export function toPairs(values: XenstoreValues): Pairs {
  return Object.entries(values).map(([text, value]) => {
    const path = xenstorePath(text)
    return [path, toBytes(checkXenstoreValue(path, value))] as const
  })
}

/** Sends all at once and waits for all, so that none is under way any more when one has failed. */
export async function writePairs(place: Place, pairs: Pairs, options: OperationOptions | undefined): Promise<void> {
  const writing = pairs.map(async ([path, value]) => {
    // The only request that does not end with a NUL: it would be part of the value.
    await askAt(place, MESSAGE.write, path, concat([encodeStrings(path), value]), options)
  })
  await Promise.allSettled(writing)
  await Promise.all(writing)
}

async function askAt(
  { connection, transactionId }: Place,
  type: MessageType,
  path: XenstorePath,
  payload: Uint8Array,
  options: OperationOptions | undefined
): Promise<Uint8Array> {
  return await connection.ask({ type, path, payload, transactionId }, options)
}

const MAX_ROUNDS = 20

async function list(
  place: Place,
  path: XenstorePath,
  options: OperationOptions | undefined
): Promise<readonly string[]> {
  const ask = async (type: MessageType, ...words: readonly string[]): Promise<Uint8Array> =>
    await askAt(place, type, path, encodeStrings(path, ...words), options)
  const payload = await ask(MESSAGE.directory).catch((error: unknown) => {
    // The answer would be longer than a message may be. No shorter request is refused in these words.
    if (isLunError(error, 'XENSTORE_INVALID') && error.details.reason.endsWith('E2BIG')) return undefined
    throw error
  })
  if (payload !== undefined) return decodeStrings(payload)
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const names = await listParts(path, async offset => await ask(MESSAGE.directoryPart, String(offset)))
    if (names !== undefined) return names
  }
  throw conflict(path)
}

/** Part after part by DIRECTORY_PART; undefined when the node has changed on the way. An empty name ends the last one. */
async function listParts(
  path: XenstorePath,
  ask: (offset: number) => Promise<Uint8Array>
): Promise<readonly string[] | undefined> {
  const names: string[] = []
  let generation: string | undefined
  for (let offset = 0; ; ) {
    const part = await ask(offset)
    const [head = '', ...found] = decodeStrings(part)
    generation ??= head
    if (generation !== head) return undefined
    const isLast = found.at(-1) === ''
    names.push(...(isLast ? found.slice(0, -1) : found))
    if (isLast) return names
    if (found.length === 0) throw unavailable(`garbled: a part of ${path} without a name`)
    offset += part.length - head.length - 1
  }
}

async function unlessAbsent<T, A>(work: Promise<T>, absent: A): Promise<T | A> {
  try {
    return await work
  } catch (error) {
    if (isLunError(error, 'XENSTORE_NOT_FOUND')) return absent
    throw error
  }
}
