import { LunError } from '../../core/error.ts'
import { formatPortal, samePortal } from '../../core/portal.ts'
import type { Secret } from '../../core/secret.ts'
import { chapSettings } from '../../iscsi/chap.ts'
import type { TargetPortal } from '../../iscsi/iscsiadm.ts'
import type { FormerSettings, NodeRecord, NodeRecords } from '../../iscsi/node-db.ts'
import { IS_EMPTY } from '../../iscsi/record.parse.ts'
import type { Context } from '../context.ts'
import { standsAt } from '../detaching/give-back.ts'
import { jobsFor } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'
import type { Made } from './made.ts'

const SECOND_MS = 1000

/**
 * Makes sure every endpoint has a node record that does what we want: no login at boot, no scan for every LUN of the
 * target, one bounded try per login. A record that was there keeps its node.startup: that is its owner's decision; what
 * else is changed in it is noted before, to be put back when the target is left.
 *
 * @throws {@link LunError} `NODE_RECORD_BROKEN` for one that making it anew would destroy
 */
export async function ensureRecords(
  context: Context,
  { signal, emit }: Pick<Operation, 'signal' | 'emit'>,
  wish: AttachWish,
  endpoints: readonly Endpoint[],
  made: Made
): Promise<void> {
  const { iscsiadm, nodeDb, journal } = context
  const { target } = wish
  const before = await nodeDb.recordsOf(target)
  const missing = endpoints.filter(endpoint => recordsAt(before, endpoint).length === 0)
  for (const endpoint of missing) assertNoneLost(before, endpoint)
  const records = missing.map(endpointKey)
  const jobs = missing.length > 0 ? await jobsFor(context, 'record', records, 0) : {}
  if (missing.length > 0) {
    // Before it is known which come about: an error in between must not leave them.
    made.records.push(...records)
    await journal.noteTarget(target, { records, jobs })
  }
  // All of them end before anything else, so that after a failure or an abort those made are known.
  const tagOf = createTags(context, { signal }, wish, endpoints)
  const attempts = await Promise.allSettled(
    missing.map(async endpoint => {
      const tpgt = await tagOf(endpoint)
      await iscsiadm.createRecord({ target, ...endpoint, tpgt }, { signal })
    })
  )
  const now = await nodeDb.recordsOf(target)
  await journal.strikeTarget(target, {
    jobs: Object.keys(jobs),
    // Whoever makes such a record later is not us.
    records: records.filter(key => ![...now.records, ...now.broken].some(record => standsAt(record, key))),
  })
  const failed = attempts.find(attempt => attempt.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  const updates = await Promise.allSettled(
    endpoints.map(async endpoint => {
      const records = recordsAt(now, endpoint)
      if (records.length === 0) throw noRecord(wish, endpoint)
      // One portal may have several, of different portal group tags, and a login takes them all.
      for (const record of records) {
        const isCreated = !before.records.some(({ path }) => path === record.path)
        const onChange = async (former: FormerSettings): Promise<void> =>
          await journal.noteChange(target, { path: record.path, endpoint: endpointKey(endpoint), former })
        const settings = settingsFor(wish, isCreated)
        const change = await nodeDb.update(record, settings, { signal, ...(!isCreated && { onChange }) })
        if (!isCreated && change.isChanged) made.changed.push(record.path)
        warnOfStartup(emit, record, { isCreated })
      }
    })
  )
  const refused = updates.find(update => update.status === 'rejected')
  if (refused !== undefined) throw refused.reason
}

/** The records of a target are those of these endpoints, one each, and no others, readable or not. */
export function areAll({ records, broken }: NodeRecords, endpoints: readonly Endpoint[]): boolean {
  if (broken.length > 0 || records.length !== endpoints.length) return false
  const asked = endpoints.flatMap(endpoint => recordsAt({ records }, endpoint))
  return new Set(asked).size === records.length
}

/** What iscsiadm would overwrite without a word, making a record where one is that we cannot read. */
function assertNoneLost({ broken }: NodeRecords, endpoint: Endpoint): void {
  const lost = broken.find(record => record.reason !== IS_EMPTY && standsAt(record, endpointKey(endpoint)))
  if (lost === undefined) return
  const { path, line, reason } = lost
  throw new LunError('NODE_RECORD_BROKEN', `${path}: line ${line} ${reason}`, { path, line, reason })
}

/** At boot the host logs in by it, as it is then; only when nothing of the target is attached is it as it was. */
function warnOfStartup(
  emit: Operation['emit'],
  { path, startup }: NodeRecord,
  { isCreated }: { readonly isCreated: boolean }
): void {
  if (isCreated || startup === undefined || startup === 'manual') return
  const message = `${path} has node.startup ${startup}: a boot meanwhile logs in by it and scans for no disk`
  emit({ type: 'warning', message })
}

/**
 * open-iscsi keeps one record per portal unless it knows the portal group tag, so for a second interface it must; and
 * only the target can tell, since a wrong one fails the login.
 */
function createTags(
  { iscsiadm }: Context,
  { signal }: Pick<Operation, 'signal'>,
  { target }: AttachWish,
  endpoints: readonly Endpoint[]
): (endpoint: Endpoint) => Promise<number | undefined> {
  const asked = new Map<string, Promise<readonly TargetPortal[]>>()
  return async ({ portal }) => {
    if (endpoints.filter(other => samePortal(other.portal, portal)).length === 1) return undefined
    const name = formatPortal(portal)
    const offers = asked.get(name) ?? iscsiadm.discover({ portal }, { signal })
    asked.set(name, offers)
    return (await offers).find(offer => offer.target === target && samePortal(offer.portal, portal))?.tpgt
  }
}

function recordsAt({ records }: Pick<NodeRecords, 'records'>, { portal, iface }: Endpoint): readonly NodeRecord[] {
  return records.filter(record => record.iface === iface && samePortal(record.portal, portal))
}

function settingsFor({ loginTimeoutMs, chap }: AttachWish, isCreated: boolean): Record<string, string | Secret> {
  return {
    ...(isCreated && { 'node.startup': 'manual', 'node.conn[0].startup': 'manual' }),
    'node.session.scan': 'manual',
    // The default, 8 retries of 15 s, keeps a dead portal busy for two minutes.
    'node.session.initial_login_retry_max': '1',
    'node.conn[0].timeo.login_timeout': String(Math.ceil(loginTimeoutMs / SECOND_MS)),
    ...(chap !== undefined && chapSettings(chap)),
  }
}

function noRecord({ target }: AttachWish, { portal }: Endpoint): LunError<'ISCSI_NO_RECORD'> {
  const at = formatPortal(portal)
  return new LunError('ISCSI_NO_RECORD', `open-iscsi made no node record for ${target} at ${at}`, {
    target,
    portal: at,
  })
}
