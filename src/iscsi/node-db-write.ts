import { invalid } from '../core/check.ts'
import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { draftOf } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { type DbLockOptions, withDbLock } from './db-lock.ts'
import { checkPlace, isPresent, type RecordPlace } from './db-path.ts'
import { readRecordText } from './record.parse.ts'
import { checkAdditions, editRecord } from './record-edit.ts'
import { checkSettingName, checkSettingValue, type RecordSettings } from './record-settings.ts'

/** What an update did. */
export interface RecordChange {
  /** False when the record said all that before. */
  readonly isChanged: boolean
  /** Puts back the settings changed, except those somebody changed since; does nothing if the record is gone. */
  restore(options?: OperationOptions): Promise<void>
}

/** Where the database may be, and its lock. */
export interface WriteOptions extends DbLockOptions {
  readonly roots: readonly string[]
}

type WriteHost = Pick<Host, 'files' | 'clock' | 'locks'>

const MODE = 0o600 // as iscsiadm, umask 077

export async function updateRecord(
  host: WriteHost,
  path: string,
  settings: RecordSettings,
  { roots, signal, ...lock }: WriteOptions
): Promise<RecordChange> {
  const place = checkPlace(path, roots)
  const changes = checkSettings(settings)
  const before = await withDbLock(host, async () => await rewrite(host, path, place, changes), { ...lock, signal })
  return {
    isChanged: [...changes].some(([name, value]) => before.get(name) !== value),
    restore: async options => {
      await withDbLock(host, async () => await putBack(host, path, place, before, changes), { ...lock, ...options })
    },
  }
}

function checkSettings(settings: RecordSettings): ReadonlyMap<string, string> {
  const entries = Object.entries(settings)
  if (entries.length === 0) throw invalid('settings', '', 'is empty')
  return new Map(entries.map(([name, value]) => [checkSettingName(name), checkSettingValue(name, value)]))
}

async function rewrite(
  { files }: WriteHost,
  path: string,
  place: RecordPlace,
  changes: ReadonlyMap<string, string>
): Promise<ReadonlyMap<string, string>> {
  const text = (await isPresent(files, path, place)) ? await files.read(path) : undefined
  if (text === undefined) {
    throw new LunError('ISCSI_NO_RECORD', `${path} is gone`, { target: place.owner, portal: undefined })
  }
  const { settings, flaw } = readRecordText(text)
  if (flaw !== undefined) {
    throw new LunError('NODE_RECORD_BROKEN', `${path}: line ${flaw.line} ${flaw.reason}`, { path, ...flaw })
  }
  checkAdditions(settings, changes)
  const edit = editRecord(text, changes)
  // Not in the record's folder: iscsiadm takes every file there for a record.
  if (edit.text !== text) await files.replace(path, edit.text, MODE, place.root)
  return edit.before
}

async function putBack(
  { files }: WriteHost,
  path: string,
  place: RecordPlace,
  before: ReadonlyMap<string, string>,
  ours: ReadonlyMap<string, string>
): Promise<void> {
  const text = (await isPresent(files, path, place)) ? await files.read(path) : undefined
  if (text === undefined) return
  const now = editRecord(text, ours).before
  const former = new Map([...before].filter(([name]) => now.get(name) === ours.get(name)))
  const edit = editRecord(text, former)
  if (edit.text !== text) await files.replace(path, edit.text, MODE, place.root)
}

export async function removeRecord(
  host: WriteHost,
  path: string,
  { roots, signal, ...lock }: WriteOptions
): Promise<boolean> {
  const place = checkPlace(path, roots)
  if (place.kind !== 'node') throw invalid('path', path, 'is no node record')
  return await withDbLock(host, async () => await removeNode(host, path, place), { ...lock, signal })
}

async function removeNode({ files }: WriteHost, path: string, place: RecordPlace): Promise<boolean> {
  const { root, owner, entry, file } = place
  const isRemoved = (await isPresent(files, path, place)) && (await files.remove(path))
  await files.remove(draftOf(path, root)) // left by a crash
  if (isRemoved && file !== undefined) {
    const link = `${owner},${entry},${file}`
    const sources = (await files.list(`${root}/send_targets`)).map(source => `send_targets/${source}`)
    for (const folder of [...sources, 'static']) await files.remove(`${root}/${folder}/${link}`)
  }
  if (file !== undefined) await files.removeDirectory(`${root}/nodes/${owner}/${entry}`)
  await files.removeDirectory(`${root}/nodes/${owner}`)
  return isRemoved
}
