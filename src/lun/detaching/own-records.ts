import type { Iqn } from '../../core/iqn.ts'
import { samePortal } from '../../core/portal.ts'
import { readPortalName } from '../../iscsi/address.ts'
import { standsFor } from '../../iscsi/db-path.ts'
import { readRecordDefaults } from '../../iscsi/iscsid-conf.ts'
import type { LentCredentials } from '../../iscsi/lent-credentials.ts'
import type { BrokenRecord, NodeRecord } from '../../iscsi/node-db.ts'
import { isAsMade, isByName, isFreshlyMade } from '../../iscsi/own-record.ts'
import type { StandingRecord } from '../../iscsi/standing-record.ts'
import type { Context } from '../context.ts'
import type { KeptEntry, RecordIntent } from '../journal/record-notes.ts'

/** A record that stands where the journal has one that was made, or was about to be. */
export interface ClaimedRecord {
  readonly path: string
  readonly endpoint: string
  /** Credentials of ours that are to leave it should it stay. */
  readonly lent?: LentCredentials | undefined
  /** Whether what stands there is that record. What cannot be told is somebody else's. */
  readonly isOurs: (found: StandingRecord) => boolean
}

/** The records of a target that are noted as made, and what stands where one was about to be made. */
export async function claimedRecords(
  { nodeDb, host }: Pick<Context, 'nodeDb' | 'host'>,
  target: Iqn,
  { intents, changes }: KeptEntry
): Promise<readonly ClaimedRecord[]> {
  const made = changes.filter(change => change.made !== undefined)
  const claimed = made.map(change => ({ ...change, isOurs: (found: StandingRecord) => isAsMade(change, found) }))
  if (intents.length === 0) return claimed
  const [{ records, broken }, defaults] = [await nodeDb.recordsOf(target), await readRecordDefaults(host.files)]
  const free = [...records, ...broken].filter(({ path }) => !changes.some(change => change.path === path))
  const meant = intents.flatMap(intent => {
    const isOurs = (found: StandingRecord): boolean => isAsMeant(intent, found, defaults)
    const standing = free.filter(record => standsAt(record, intent.endpoint))
    return standing.map(({ path }) => ({ path, endpoint: intent.endpoint, isOurs }))
  })
  return [...claimed, ...meant, ...(await formerDiscoveries(nodeDb, intents))]
}

/** Earlier versions noted for a target that they made the discovery record of a portal, and nothing by which to know it. */
async function formerDiscoveries(
  nodeDb: Context['nodeDb'],
  intents: readonly RecordIntent[]
): Promise<readonly ClaimedRecord[]> {
  const noted = intents.filter(({ endpoint }) => endpoint.startsWith(DISCOVERY))
  if (noted.length === 0) return []
  const { records } = await nodeDb.discoveryRecords()
  return noted.flatMap(({ endpoint }) => {
    const at = readPortalName(endpoint.slice(DISCOVERY.length))
    const standing = records.filter(({ portal }) => at !== undefined && samePortal(portal, at))
    return standing.map(({ path }) => ({ path, endpoint, isOurs: () => false }))
  })
}

const DISCOVERY = 'discovery '

function isAsMeant({ within }: RecordIntent, found: StandingRecord, defaults: ReadonlyMap<string, string>): boolean {
  return within === undefined ? isAsEarlierMade(found) : isFreshlyMade(found, within, defaults)
}

/** What every record has that this library has made ready, and hardly another one. */
const SIGNATURE: readonly (readonly [string, string])[] = [
  ['node.startup', 'manual'],
  ['node.conn[0].startup', 'manual'],
  ['node.session.scan', 'manual'],
  ['node.session.initial_login_retry_max', '1'],
]

/** Earlier versions noted no more than the endpoint. */
function isAsEarlierMade(found: StandingRecord): boolean {
  if (found.flaw !== undefined) return found.flaw === 'empty'
  return isByName(found) && SIGNATURE.every(([name, value]) => found.settings.get(name) === value)
}

/** Whether what stands in the place of a record, readable or not, stands in that of an endpoint's. */
export function standsAt({ path, ...record }: BrokenRecord | NodeRecord, endpoint: string): boolean {
  const [name = '', wanted] = endpoint.split(' ')
  const at = readPortalName(name)
  const place = 'portal' in record ? record : standsFor(path)
  if (at === undefined || place === undefined || !samePortal(place.portal, at)) return false
  return place.iface === undefined || place.iface === wanted
}

/** Completes "PATH …" for a record that stays. */
export const STAYS = 'stays: somebody has made or changed it since, or nobody can say who made it'
