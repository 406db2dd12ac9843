import { ask } from './socket.ts'

export interface WatchedPath {
  readonly disk: string
  /** What the kernel's map makes of it: active or failed. */
  readonly dmState: string
  /** What multipathd's checker found: ready, faulty ... */
  readonly checker: string
}

export interface WatchedMap {
  readonly wwid: string
  readonly paths: readonly WatchedPath[]
}

const socket = '\0/org/kernel/linux/storage/multipathd'
// A length of 8 bytes, which counts the NUL at the end of the text.
const headBytes = 8
// One line per path: with raw format there are no headers, and it exists in all versions, unlike JSON for paths.
const question = 'show paths raw format "%m %d %t %T"\0'

/** Maps and paths as multipathd sees them; undefined if it does not run. */
export const watchedMaps = async (): Promise<WatchedMap[] | undefined> => {
  const head = Buffer.alloc(headBytes)
  head.writeBigUInt64LE(BigInt(question.length))
  const framing = { headBytes, bodyBytes: (answer: Buffer) => Number(answer.readBigUInt64LE()) }
  const answer = await ask(socket, Buffer.concat([head, Buffer.from(question)]), framing)
  if (answer === undefined) return undefined
  const maps = new Map<string, WatchedPath[]>()
  for (const line of answer.toString('utf8', headBytes).replace('\0', '').split('\n')) {
    const [wwid, disk, dmState, checker] = line.trim().split(/\s+/)
    // A path that belongs to no map has [orphan] in its place.
    if (wwid === undefined || disk === undefined || wwid.startsWith('[')) continue
    maps.set(wwid, [...(maps.get(wwid) ?? []), { disk, dmState: dmState ?? '', checker: checker ?? '' }])
  }
  return [...maps].map(([wwid, paths]) => ({ wwid, paths }))
}
