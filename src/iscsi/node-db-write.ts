import { invalid } from '../core/check.ts'
import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { isDraft, nameOfDraft } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { type DbLockOptions, withDbLock } from './db-lock.ts'
import { checkPlace, isPresent, type RecordPlace } from './db-path.ts'
import { readRecordText } from './record.parse.ts'
import { checkAdditions, editRecord } from './record-edit.ts'
import { checkSettingName, checkSettingValue, type RecordSettings } from './record-settings.ts'

/** What settings were before, by name, and what they were changed to since; the empty text for none. */
export type FormerSettings = ReadonlyMap<string, { readonly before: string; readonly ours: readonly string[] }>

/** How a record is changed. */
export interface UpdateOptions extends OperationOptions {
  /**
   * Called under open-iscsi's lock with what is about to change, secrets in plain text, right before the record is
   * written; what it throws leaves the record as it is. For those who note what they will have to put back.
   */
  readonly onChange?: ((former: FormerSettings) => Promise<void>) | undefined
}

/** Where the database may be, and its lock. */
export interface WriteOptions extends DbLockOptions {
  readonly roots: readonly string[]
}

export type WriteHost = Pick<Host, 'files' | 'clock' | 'locks'>

const MODE = 0o600 // as iscsiadm, umask 077

export async function updateRecord(
  host: WriteHost,
  path: string,
  settings: RecordSettings,
  { roots, signal, onChange, ...lock }: WriteOptions & UpdateOptions
): Promise<FormerSettings> {
  const place = checkPlace(path, roots)
  const changes = checkSettings(settings)
  const write = async (): Promise<FormerSettings> => await rewrite(host, path, place, changes, onChange)
  return await withDbLock(host, write, { ...lock, signal })
}

export async function putBackRecord(
  host: WriteHost,
  path: string,
  former: FormerSettings,
  { roots, ...lock }: WriteOptions
): Promise<void> {
  const place = checkPlace(path, roots)
  await withDbLock(host, async () => await putBack(host, path, place, former), lock)
}

function checkSettings(settings: RecordSettings): ReadonlyMap<string, string> {
  const entries = Object.entries(settings)
  if (entries.length === 0) throw invalid('settings', '', 'is empty')
  return new Map(entries.map(([name, value]) => [checkSettingName(name), checkSettingValue(name, value)]))
}

/** Answers what was changed. */
async function rewrite(
  { files }: WriteHost,
  path: string,
  place: RecordPlace,
  changes: ReadonlyMap<string, string>,
  onChange: UpdateOptions['onChange']
): Promise<FormerSettings> {
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
  const former = new Map(
    [...edit.before].flatMap(([name, before]) => {
      const value = changes.get(name) ?? ''
      return value === before ? [] : [[name, { before, ours: [value] }] as const]
    })
  )
  if (former.size > 0) await onChange?.(former)
  // Not in the record's folder: iscsiadm takes every file there for a record.
  if (edit.text !== text) await files.replace(path, edit.text, MODE, place.root)
  return former
}

async function putBack({ files }: WriteHost, path: string, place: RecordPlace, former: FormerSettings): Promise<void> {
  const text = (await isPresent(files, path, place)) ? await files.read(path) : undefined
  if (text === undefined) return
  const now = editRecord(text, new Map([...former.keys()].map(name => [name, '']))).before
  const ours = [...former].filter(([name, setting]) => setting.ours.includes(now.get(name) ?? ''))
  const edit = editRecord(text, new Map(ours.map(([name, { before }]) => [name, before])))
  if (edit.text !== text) await files.replace(path, edit.text, MODE, place.root)
}

/** Drafts of records, which hold what the records were to hold, secrets too. A living writer's are among them. */
export async function findDrafts({ files }: Pick<Host, 'files'>, roots: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    roots.map(async root => {
      const names = await files.list(root)
      // Of records, which are in folders. The draft of what lies here itself, as iscsid.conf may, is somebody else's.
      const ours = names.filter(name => isDraft(name) && !names.includes(nameOfDraft(name)))
      return ours.map(name => `${root}/${name}`)
    })
  )
  return found.flat()
}

/** Removes the drafts that are there while nobody writes. */
export async function removeDrafts(host: WriteHost, { roots, ...lock }: WriteOptions): Promise<void> {
  if ((await findDrafts(host, roots)).length === 0) return
  await withDbLock(
    host,
    async () => {
      for (const path of await findDrafts(host, roots)) await host.files.remove(path)
    },
    lock
  )
}
