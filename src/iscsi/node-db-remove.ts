import type { OperationOptions } from '../core/options.ts'
import { draftOf } from '../host/files.ts'
import { withDbLock } from './db-lock.ts'
import { checkPlace, isPresent, type RecordPlace } from './db-path.ts'
import type { WriteHost, WriteOptions } from './node-db-write.ts'
import { lookAtRecord, type StandingRecord } from './standing-record.ts'

/** How a record is deleted. */
export interface RemoveOptions extends OperationOptions {
  /**
   * Asked under open-iscsi's lock what stands there, secrets in plain text; what is not wanted stays. For those who delete
   * what they made, and not what somebody else has put in its place.
   */
  readonly onlyIf?: ((found: StandingRecord) => boolean) | undefined
}

export async function removeRecord(
  host: WriteHost,
  path: string,
  { roots, signal, onlyIf, ...lock }: WriteOptions & RemoveOptions
): Promise<boolean> {
  const { files } = host
  const place = checkPlace(path, roots)
  const task = async (): Promise<boolean> => {
    const isThere = await isPresent(files, path, place)
    const found = isThere && onlyIf !== undefined ? await lookAtRecord(files, path) : undefined
    if (found !== undefined && onlyIf?.(found) === false) return false
    const isRemoved = isThere && (await files.remove(path))
    await files.remove(draftOf(path, place.root)) // left by a crash
    await (place.kind === 'node' ? removeAroundNode : removeAroundDiscovery)(host, place, isRemoved)
    return isRemoved
  }
  return await withDbLock(host, task, { ...lock, signal })
}

async function removeAroundNode({ files }: WriteHost, place: RecordPlace, isRemoved: boolean): Promise<void> {
  const { root, owner, entry, file } = place
  if (isRemoved && file !== undefined) {
    const link = `${owner},${entry},${file}`
    const sources = (await files.list(`${root}/send_targets`)).map(source => `send_targets/${source}`)
    for (const folder of [...sources, 'static']) await files.remove(`${root}/${folder}/${link}`)
  }
  if (file !== undefined) await files.removeDirectory(`${root}/nodes/${owner}/${entry}`)
  await files.removeDirectory(`${root}/nodes/${owner}`)
}

/** The links in its folder say which node records it found. */
async function removeAroundDiscovery({ files }: WriteHost, place: RecordPlace, isRemoved: boolean): Promise<void> {
  const { root, entry, file } = place
  if (file === undefined) return
  const folder = `${root}/send_targets/${entry}`
  if (isRemoved) for (const link of await files.list(folder)) await files.remove(`${folder}/${link}`)
  await files.removeDirectory(folder)
}
