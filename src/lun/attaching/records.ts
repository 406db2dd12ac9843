import { LunError } from '../../core/error.ts'
import { formatPortal } from '../../core/portal.ts'
import type { Secret } from '../../core/secret.ts'
import { chapSettings } from '../../iscsi/chap.ts'
import type { FormerSettings, NodeRecord, NodeRecords } from '../../iscsi/node-db.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'
import { sessionsAt } from './endpoints.ts'
import type { Made } from './made.ts'
import { makeMissingRecords, recordsAt } from './make-records.ts'
import type { PathContext } from './path.ts'

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
  const { nodeDb, journal } = context
  const { target } = wish
  const settings = settingsFor(wish, true)
  const { records, ours } = await makeMissingRecords(context, { signal }, wish, endpoints, settings, made)
  const updates = await Promise.allSettled(
    endpoints.map(async endpoint => {
      const own = recordsAt({ records }, endpoint)
      if (own.length === 0) throw noRecord(wish, endpoint)
      // One portal may have several, of different portal group tags, and a login takes them all.
      for (const record of own) {
        const isCreated = ours.has(record.path)
        const onChange = async (former: FormerSettings): Promise<void> =>
          await journal.noteChange(target, { path: record.path, endpoint: endpointKey(endpoint), former })
        const wanted = settingsFor(wish, isCreated)
        const changed = await nodeDb.update(record, wanted, { signal, ...(!isCreated && { onChange }) })
        if (!isCreated && changed.size > 0) made.changed.push(record.path)
        warnOfStartup(emit, record, { isCreated })
      }
    })
  )
  const refused = updates.find(update => update.status === 'rejected')
  if (refused !== undefined) throw refused.reason
}

/**
 * Makes sure of one endpoint's record once more, before a login that comes long after the attach began: the record may have
 * been deleted or changed meanwhile, or given back by others who left the target. Not where a session is there already.
 */
export async function ensureRecord(
  { context, wish, made }: Pick<PathContext, 'context' | 'wish' | 'made'>,
  endpoint: Endpoint,
  signal: AbortSignal
): Promise<void> {
  const sessions = await context.iscsiadm.sessions({ target: wish.target })
  if (sessionsAt(sessions, endpoint).length > 0) return
  // What there was to warn of was told by the attach.
  await ensureRecords(context, { signal, emit: () => {} }, wish, [endpoint], made)
}

/** The records of a target are those of these endpoints, one each, and no others, readable or not. */
export function areAll({ records, broken }: NodeRecords, endpoints: readonly Endpoint[]): boolean {
  if (broken.length > 0 || records.length !== endpoints.length) return false
  const asked = endpoints.flatMap(endpoint => recordsAt({ records }, endpoint))
  return new Set(asked).size === records.length
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
