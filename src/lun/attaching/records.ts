import { LunError } from '../../core/error.ts'
import { formatPortal, samePortal } from '../../core/portal.ts'
import type { Secret } from '../../core/secret.ts'
import { chapSettings } from '../../iscsi/chap.ts'
import type { TargetPortal } from '../../iscsi/iscsiadm.ts'
import type { NodeRecord } from '../../iscsi/node-db.ts'
import type { Context } from '../context.ts'
import { jobsFor } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'
import type { Made } from './made.ts'

const SECOND_MS = 1000

/**
 * Makes sure every endpoint has a node record that does what we want: no login at boot, no scan for every LUN of the
 * target, one bounded try per login. A record that was there keeps its node.startup: that is its owner's decision.
 */
export async function ensureRecords(
  context: Context,
  { signal }: Pick<Operation, 'signal'>,
  wish: AttachWish,
  endpoints: readonly Endpoint[],
  made: Made
): Promise<void> {
  const { iscsiadm, nodeDb, journal } = context
  const { target } = wish
  const before = (await nodeDb.recordsOf(target)).records
  const missing = endpoints.filter(endpoint => findRecord(before, endpoint) === undefined)
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
  const now = (await nodeDb.recordsOf(target)).records
  const created = now.filter(({ path }) => !before.some(record => record.path === path))
  await journal.strikeTarget(target, {
    jobs: Object.keys(jobs),
    // Whoever makes such a record later is not us.
    records: records.filter(key => !now.some(record => endpointKey(record) === key)),
  })
  const failed = attempts.find(attempt => attempt.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  await Promise.all(
    endpoints.map(async endpoint => {
      const record = findRecord(now, endpoint)
      if (record === undefined) throw noRecord(wish, endpoint)
      const isCreated = created.includes(record)
      const change = await nodeDb.update(record, settingsFor(wish, isCreated), { signal })
      if (!isCreated && change.isChanged) made.restores.push(async () => await change.restore())
    })
  )
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

function findRecord(records: readonly NodeRecord[], { portal, iface }: Endpoint): NodeRecord | undefined {
  return records.find(record => record.iface === iface && samePortal(record.portal, portal))
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
