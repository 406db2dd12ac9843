import { tryRun } from './run.ts'

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

/** Maps and paths as multipathd sees them; undefined if it does not run. */
export const watchedMaps = async (): Promise<WatchedMap[] | undefined> => {
  // One line per path: with raw format there are no headers, and it exists in all versions, unlike JSON for paths.
  const { exitCode, stdout } = await tryRun('multipathd', ['show', 'paths', 'raw', 'format', '%m %d %t %T'])
  if (exitCode !== 0) return undefined
  const maps = new Map<string, WatchedPath[]>()
  for (const line of stdout.split('\n')) {
    const [wwid, disk, dmState, checker] = line.trim().split(/\s+/)
    // A path that belongs to no map has [orphan] in its place.
    if (wwid === undefined || disk === undefined || wwid.startsWith('[')) continue
    maps.set(wwid, [...(maps.get(wwid) ?? []), { disk, dmState: dmState ?? '', checker: checker ?? '' }])
  }
  return [...maps].map(([wwid, paths]) => ({ wwid, paths }))
}
