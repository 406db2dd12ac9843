import type { Iqn } from '../../core/iqn.ts'
import { formatPortal } from '../../core/portal.ts'
import { isAbandoned } from '../../flow/link-lock.ts'
import { DB_LOCK, DB_LOCK_FOLDER } from '../../iscsi/db-lock.ts'
import type { Context } from '../context.ts'
import { abandonedDiscoveries } from '../detaching/discoveries.ts'
import type { ReconcileAction } from './action.ts'

/** Puts back discovery records that hold the credentials of one who died. */
export async function planDiscoveries(context: Context): Promise<readonly ReconcileAction[]> {
  const abandoned = await abandonedDiscoveries(context)
  return abandoned.map(({ portal, why }) => ({ kind: 'restore', portal: formatPortal(portal), why }))
}

/** Earlier versions noted in /run which node records are ours. */
export async function planFormerNotes({ journal }: Context, target: Iqn): Promise<readonly ReconcileAction[]> {
  if (!(await journal.hasFormerNotes(target))) return []
  return [{ kind: 'keep', target, why: 'an earlier version noted where a boot forgets it which node records are ours' }]
}

/** Removes drafts of records, which may hold secrets. */
export async function planRecordDrafts({ host, nodeDb }: Context): Promise<readonly ReconcileAction[]> {
  const drafts = await nodeDb.drafts()
  if (drafts.length === 0) return []
  const lock = `${DB_LOCK_FOLDER}/${DB_LOCK}`
  // Somebody may be writing it just now.
  if ((await host.files.stat(lock)) !== undefined && !(await isAbandoned(host.files, lock))) return []
  return drafts.map(path => ({ kind: 'discard', path, why: 'whoever wrote it died before it was a record' }))
}
