import type { Files } from '../host/files.ts'
import { IS_EMPTY, readRecordText } from './record.parse.ts'

/** What stands in the place of a record, readable or not. */
export interface StandingRecord {
  /** By open-iscsi's names, secrets in plain text; those without a value are left out. */
  readonly settings: ReadonlyMap<string, string>
  /** Undefined for a whole record. */
  readonly flaw: 'empty' | 'damaged' | undefined
  readonly stamp: RecordStamp
  /** Of a discovery record, the links to node records that it found. */
  readonly links: readonly string[]
}

/** Tells a file from a later one of its name, and from itself once it is written again. */
export interface RecordStamp {
  readonly inode: number
  readonly mtimeMs: number
}

const DISCOVERY = '/st_config'

/** What stands there; undefined where nothing does, or no file. */
export async function lookAtRecord(files: Files, path: string): Promise<StandingRecord | undefined> {
  const stat = await files.linkStat(path)
  const text = stat?.kind === 'file' ? await files.read(path) : undefined
  if (stat === undefined || text === undefined) return undefined
  const { settings, flaw } = readRecordText(text)
  const isDiscovery = path.endsWith(DISCOVERY)
  const beside = isDiscovery ? await files.list(path.slice(0, -DISCOVERY.length)) : []
  return {
    settings,
    flaw: flaw === undefined ? undefined : flaw.reason === IS_EMPTY ? 'empty' : 'damaged',
    stamp: { inode: stat.inode, mtimeMs: stat.mtimeMs },
    links: beside.filter(name => !path.endsWith(`/${name}`)),
  }
}
