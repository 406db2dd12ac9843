import type { WatchedMap, WatchedPath } from 'xen-lun/testing'
import { tryRun } from './run.ts'
import { ask } from './socket.ts'

const socket = '\0/org/kernel/linux/storage/multipathd'
// A length of 8 bytes, which counts the NUL at the end of the text.
const headBytes = 8
// One line per path: with raw format there are no headers, and it exists in all versions, unlike JSON for paths.
const format = '%m %d %t %T'
const question = `show paths raw format "${format}"\0`

const askByCommand = async (): Promise<string | undefined> => {
  const { exitCode, stdout } = await tryRun('multipathd', ['show', 'paths', 'raw', 'format', format])
  return exitCode === 0 ? stdout : undefined
}

const askBySocket = async (): Promise<string | undefined> => {
  const head = Buffer.alloc(headBytes)
  head.writeBigUInt64LE(BigInt(question.length))
  const framing = { headBytes, bodyBytes: (answer: Buffer) => Number(answer.readBigUInt64LE()) }
  const answer = await ask(socket, Buffer.concat([head, Buffer.from(question)]), framing)
  return answer?.toString('utf8', headBytes).replace('\0', '')
}

/** Whether this Node can talk to multipathd, which must run. */
export const isSocketInReach = async (): Promise<boolean> => (await askBySocket()) !== undefined

/** Maps and paths as multipathd sees them; undefined if it does not run. */
export const watchedMaps = async (): Promise<WatchedMap[] | undefined> => {
  const listing = (await askBySocket()) ?? (await askByCommand())
  if (listing === undefined) return undefined
  const maps = new Map<string, WatchedPath[]>()
  for (const line of listing.split('\n')) {
    const [wwid, disk, dmState, checker] = line.trim().split(/\s+/)
    // A path that belongs to no map has [orphan] in its place.
    if (wwid === undefined || disk === undefined || wwid.startsWith('[')) continue
    maps.set(wwid, [...(maps.get(wwid) ?? []), { disk, dmState: dmState ?? '', checker: checker ?? '' }])
  }
  return [...maps].map(([wwid, paths]) => ({ wwid, paths }))
}
