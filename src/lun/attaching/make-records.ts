import { LunError } from '../../core/error.ts'
import { formatPortal, samePortal } from '../../core/portal.ts'
import type { TargetPortal } from '../../iscsi/iscsiadm.ts'
import { lentCredentials } from '../../iscsi/lent-credentials.ts'
import type { NodeRecord, NodeRecords } from '../../iscsi/node-db.ts'
import { FOUND_BY, isUntouched, noteOfMade } from '../../iscsi/own-record.ts'
import { IS_EMPTY } from '../../iscsi/record.parse.ts'
import { isSecretSetting, type RecordSettings } from '../../iscsi/record-settings.ts'
import { lookAtRecord } from '../../iscsi/standing-record.ts'
import type { Context } from '../context.ts'
import { claimedRecords, standsAt } from '../detaching/own-records.ts'
import { MAKING_MS } from '../journal/discoveries.ts'
import { jobsFor } from '../journal/jobs.ts'
import type { RecordChange } from '../journal/record-notes.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'
import type { Made } from './made.ts'

/** The node records of a target, and the files of those that are new and ours. */
export interface MadeRecords {
  readonly records: readonly NodeRecord[]
  readonly ours: ReadonlySet<string>
}

/** What a record of ours is known by, beside the settings that it gets: no secret, which is in the record and nowhere else. */
const KNOWN_BY = [FOUND_BY, ...['authmethod', 'username', 'username_in'].map(name => `node.session.auth.${name}`)]

/**
 * Makes a node record for every endpoint that has none. What is about to be made is noted before, and what was made is, with
 * its file and `settings`, which it is about to get: whoever deletes it knows it again by these. One that comes up
 * meanwhile, or that was made by one who died before he could note it, is told apart as far as it can be.
 *
 * @throws {@link LunError} `NODE_RECORD_BROKEN` for one that making it anew would destroy
 */
export async function makeMissingRecords(
  context: Context,
  { signal }: Pick<Operation, 'signal'>,
  wish: AttachWish,
  endpoints: readonly Endpoint[],
  settings: RecordSettings,
  made: Made
): Promise<MadeRecords> {
  const { iscsiadm, nodeDb, journal } = context
  const { target } = wish
  const telling = Object.fromEntries(Object.entries(settings).filter(([name]) => !isSecretSetting(name)))
  const noteOf = async (path: string, endpoint: Endpoint): Promise<readonly RecordChange[]> => {
    const found = await lookAtRecord(context.host.files, path)
    if (found === undefined || found.flaw !== undefined) return []
    const lent = lentCredentials(noteOfMade(path, found, settings).former)
    return [{ ...noteOfMade(path, found, telling, KNOWN_BY), lent, endpoint: endpointKey(endpoint) }]
  }
  const adopted = await adoptMade(context, wish, endpoints, noteOf)
  const before = await nodeDb.recordsOf(target, { isSettled: true, signal })
  const missing = endpoints.filter(endpoint => recordsAt(before, endpoint).length === 0)
  if (missing.length === 0) return { records: before.records, ours: adopted }
  for (const endpoint of missing) assertNoneLost(before, endpoint)
  const tagOf = createTags(context, { signal }, wish, endpoints)
  const tags = await Promise.all(missing.map(tagOf))
  const keys = missing.map(endpointKey)
  const jobs = await jobsFor(context, 'record', keys, 0)
  // Before it is known which come about: an error in between must not leave them.
  made.records.push(...keys)
  await journal.noteIntents(target, keys, jobs, MAKING_MS)
  // All of them end before anything else, so that after a failure or an abort those made are known.
  const attempts = await Promise.allSettled(
    missing.map(async (endpoint, n) => await iscsiadm.createRecord({ target, ...endpoint, tpgt: tags[n] }, { signal }))
  )
  const now = await nodeDb.recordsOf(target)
  const isNew = ({ path }: { readonly path: string }): boolean => !before.records.some(record => record.path === path)
  const notes: RecordChange[] = []
  const done: string[] = []
  for (const [n, endpoint] of missing.entries()) {
    const attempt = attempts[n]
    const standing = [...now.records, ...now.broken].filter(record => isNew(record) && standsAt(record, keys[n] ?? ''))
    const isMade = attempt?.status === 'fulfilled' && attempt.value === 'created'
    // Others may have made another one at the same time.
    const own = isMade ? standing.filter(record => !('tpgt' in record) || record.tpgt === tags[n]) : []
    const found = own.length === 1 ? await noteOf(own[0]?.path ?? '', endpoint) : []
    notes.push(...found)
    // What may have been made, and could not be looked at, stays noted. Whoever makes one later is not us.
    const isOpen = found.length === 0 && (attempt?.status === 'rejected' ? standing : own).length === 1
    if (!isOpen) done.push(keys[n] ?? '')
  }
  await journal.noteMade(target, notes, { intents: done, jobs: Object.keys(jobs) })
  const failed = attempts.find(attempt => attempt.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return { records: now.records, ours: new Set([...adopted, ...notes.map(({ path }) => path)]) }
}

/**
 * A record that one who died was making, or had made and changed nothing in yet, is ours, and is noted with what it is about
 * to get now.
 */
async function adoptMade(
  context: Context,
  { target }: AttachWish,
  endpoints: readonly Endpoint[],
  noteOf: (path: string, endpoint: Endpoint) => Promise<readonly RecordChange[]>
): Promise<ReadonlySet<string>> {
  const { journal, host } = context
  const { intents, changes } = await journal.target(target)
  const at = (key: string): Endpoint | undefined => endpoints.find(endpoint => endpointKey(endpoint) === key)
  const meant = intents.filter(({ endpoint }) => at(endpoint) !== undefined)
  const made = changes.filter(({ endpoint, made: stamp }) => stamp !== undefined && at(endpoint) !== undefined)
  if (meant.length + made.length === 0) return new Set()
  const notes: RecordChange[] = []
  for (const change of made) {
    const found = await lookAtRecord(host.files, change.path)
    const endpoint = at(change.endpoint)
    if (found === undefined || endpoint === undefined || !isUntouched(change, found)) continue
    notes.push(...(await noteOf(change.path, endpoint)))
  }
  for (const { path, endpoint: key, isOurs } of await claimedRecords(context, target, { intents: meant, changes })) {
    const found = changes.some(change => change.path === path) ? undefined : await lookAtRecord(host.files, path)
    const endpoint = at(key)
    if (found === undefined || endpoint === undefined || !isOurs(found)) continue
    notes.push(...(await noteOf(path, endpoint)))
  }
  if (meant.length + notes.length > 0) {
    await journal.noteMade(target, notes, { intents: meant.map(({ endpoint }) => endpoint) })
  }
  return new Set(notes.map(({ path }) => path))
}

export function recordsAt(
  { records }: Pick<NodeRecords, 'records'>,
  { portal, iface }: Endpoint
): readonly NodeRecord[] {
  return records.filter(record => record.iface === iface && samePortal(record.portal, portal))
}

/** What iscsiadm would overwrite without a word, making a record where one is that we cannot read. */
function assertNoneLost({ broken }: NodeRecords, endpoint: Endpoint): void {
  const lost = broken.find(record => record.reason !== IS_EMPTY && standsAt(record, endpointKey(endpoint)))
  if (lost === undefined) return
  const { path, line, reason } = lost
  throw new LunError('NODE_RECORD_BROKEN', `${path}: line ${line} ${reason}`, { path, line, reason })
}

/**
 * open-iscsi keeps one record per portal unless it knows the portal group tag, so for a second interface it must; and
 * only the target can tell, since a wrong one fails the login.
 */
function createTags(
  { iscsiadm }: Context,
  { signal }: Pick<Operation, 'signal'>,
  { target, ifaces }: AttachWish,
  endpoints: readonly Endpoint[]
): (endpoint: Endpoint) => Promise<number | undefined> {
  const asked = new Map<string, Promise<readonly TargetPortal[]>>()
  return async ({ portal }) => {
    const isShared = endpoints.filter(other => samePortal(other.portal, portal)).length > 1
    // Those of the other interfaces may be there already.
    if (!isShared && (ifaces === undefined || ifaces.length < 2)) return undefined
    const name = formatPortal(portal)
    const offers = asked.get(name) ?? iscsiadm.discover({ portal }, { signal })
    asked.set(name, offers)
    return (await offers).find(offer => offer.target === target && samePortal(offer.portal, portal))?.tpgt
  }
}
