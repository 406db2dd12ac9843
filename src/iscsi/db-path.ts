import { invalid } from '../core/check.ts'
import type { Portal } from '../core/portal.ts'
import type { Files } from '../host/files.ts'
import { readPortal } from './address.ts'

/** Where open-iscsi keeps its database: since 2.0.87x, and before that and on some distributions still. */
export const DB_ROOTS: readonly string[] = ['/var/lib/iscsi', '/etc/iscsi']

/** The database of this host: the first root with node records, else the first with a place for them. */
export async function findRoot(files: Files, roots: readonly string[]): Promise<string> {
  const [first = ''] = roots
  if (roots.length < 2) return first
  for (const root of roots) {
    if ((await files.list(`${root}/nodes`)).length > 0) return root
  }
  for (const root of roots) {
    if ((await files.stat(`${root}/nodes`)) !== undefined) return root
  }
  return first
}

/** `ADDRESS,PORT` or `ADDRESS,PORT,TPGT`, IPv6 without brackets; `undefined` for any other name. */
export function readEntryName(name: string): Portal | undefined {
  const [, address = '', port = ''] = /^([^,]+),(\d{1,5})(?:,-?\d{1,10})?$/.exec(name) ?? []
  return readPortal(address, port)
}

/**
 * Portal and interface of whatever stands in the place of a node record, readable or not. The file of a portal may be of
 * any interface.
 */
export function standsFor(path: string): { readonly portal: Portal; readonly iface: string | undefined } | undefined {
  const [above = '', name = ''] = path.split('/').slice(-2)
  const file = readEntryName(name)
  if (file !== undefined) return { portal: file, iface: undefined }
  const folder = readEntryName(above)
  return folder === undefined ? undefined : { portal: folder, iface: name }
}

/** A record's place in the database, taken apart. */
export interface RecordPlace {
  readonly root: string
  readonly kind: 'node' | 'discovery'
  /** The folder of the target; of discovery, the kind of discovery. */
  readonly owner: string
  /** `ADDRESS,PORT[,TPGT]` */
  readonly entry: string
  /** Name in the entry's folder; missing where the entry itself is the file. */
  readonly file: string | undefined
}

const PLACE = /^\/(nodes|send_targets)((?:\/[^/\0]+){1,3})$/

/**
 * Checks that a path is that of a record of a database.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function checkPlace(path: string, roots: readonly string[]): RecordPlace {
  const root = roots.find(candidate => path.startsWith(`${candidate}/`)) ?? ''
  const [, folder, rest = ''] = PLACE.exec(path.slice(root.length)) ?? []
  const names = rest.split('/').slice(1)
  const isNode = folder === 'nodes'
  const [owner = '', entry = '', file, ...more] = isNode ? names : ['send_targets', ...names]
  const isPlace = root !== '' && more.length === 0 && !names.includes('.') && !names.includes('..')
  if (!isPlace || readEntryName(entry) === undefined) throw invalid('path', path, 'is no record of the iSCSI database')
  return { root, kind: isNode ? 'node' : 'discovery', owner, entry, file }
}

/**
 * Whether the record is there, as a file, and where it seems to be: a link must not lead a writer out of the database.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export async function isPresent(files: Files, path: string, { root }: RecordPlace): Promise<boolean> {
  const [real, realRoot, stat] = await Promise.all([files.realpath(path), files.realpath(root), files.stat(path)])
  if (real === undefined || realRoot === undefined || stat === undefined) return false
  if (real !== `${realRoot}${path.slice(root.length)}`) throw invalid('path', path, 'leads out of the iSCSI database')
  if (stat.kind !== 'file') throw invalid('path', path, 'is no file')
  return true
}
