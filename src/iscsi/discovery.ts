import { isLunError, LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { formatPortal, type Portal, samePortal } from '../core/portal.ts'
import { collectFailures } from '../flow/collect.ts'
import { retry } from '../flow/retry.ts'
import type { Command } from '../host/command.ts'
import type { Host } from '../host/host.ts'
import { type Chap, chapSettings } from './chap.ts'
import { standsFor } from './db-path.ts'
import {
  DISCOVERY_TIMEOUT_MS,
  deleteDiscoveryRecord,
  discover,
  discoverByRecord,
  newDiscoveryRecord,
} from './discovery.commands.ts'
import type { DiscoveryRecord, DiscoveryRecords, NodeDb, UpdateOptions } from './node-db.ts'
import type { TargetPortal } from './portals.parse.ts'
import { IS_EMPTY } from './record.parse.ts'
import type { Runner } from './runner.ts'

/** Whom to ask for targets, and how. */
export interface DiscoverRequest {
  readonly portal: Portal
  /**
   * Keep what is found, and the credentials, in the node database. Default false, and better so: it makes or resets
   * the records of every target the portal offers, node.startup included.
   */
  readonly persistent?: boolean | undefined
  /** Interface records to go through. Default: `default`. */
  readonly ifaces?: readonly string[] | undefined
  readonly chap?: Chap | undefined
  /** Default 100 s, when iscsiadm has long given up by itself. */
  readonly timeoutMs?: number | undefined
}

interface DiscoveryTools extends Pick<Host, 'clock' | 'locks'> {
  readonly nodeDb: NodeDb
  readonly runner: Runner
}

const CUT_MS = 3000 // less than iscsiadm itself tries a portal that refuses
const FIRST_PAUSE_MS = 200

/**
 * One discovery at a time: all of a host's have the same initiator session id, and a target ends the older session of
 * two that have (RFC 7143, session reinstatement). Seen with LIO: of two at once often both end with exit 11.
 */
export async function discoverPortals(
  tools: DiscoveryTools,
  request: DiscoverRequest,
  options: UpdateOptions = {}
): Promise<readonly TargetPortal[]> {
  const ask = async (): Promise<readonly TargetPortal[]> => await askPortal(tools, request, options)
  const { portal, timeoutMs = DISCOVERY_TIMEOUT_MS } = request
  return await tools.locks.withLock(`discovery ${formatPortal(portal)}`, ask, { ...options, timeoutMs })
}

async function askPortal(
  tools: DiscoveryTools,
  { portal, persistent = false, ifaces, chap, timeoutMs }: DiscoverRequest,
  options: UpdateOptions
): Promise<readonly TargetPortal[]> {
  const spec = { portal, ifaces, isPersistent: persistent, timeoutMs }
  if (chap === undefined) return await run(tools, discover(spec), options)
  const settings = chapSettings(chap, 'discovery')
  const command = discoverByRecord(spec)
  const restore = await prepareRecord(tools, portal, settings, options)
  try {
    const found = await run(tools, command, options)
    if (!persistent) await restore()
    return found
  } catch (error) {
    await collectFailures([['restore the discovery record', restore]])
    throw error
  }
}

/** Deletes the record of a portal. False if there was none. */
export async function forgetPortal(
  { nodeDb, runner }: Pick<DiscoveryTools, 'nodeDb' | 'runner'>,
  portal: Portal,
  options?: OperationOptions
): Promise<boolean> {
  const isThere = async (): Promise<boolean> =>
    (await nodeDb.discoveryRecords()).records.some(record => samePortal(record.portal, portal))
  if (!(await isThere())) return false
  try {
    await runner.whole(deleteDiscoveryRecord(portal), options)
  } catch (error) {
    if (await isThere()) throw error // else somebody else deleted it, for which iscsiadm has no code of its own
  }
  return true
}

// Others on this host, who do not know our lock, may have cut the session.
async function run<T>({ runner, clock }: DiscoveryTools, command: Command<T>, options: OperationOptions): Promise<T> {
  return await retry(clock, async () => await runner.abortable(command, options), {
    isPassing: error => isLunError(error, 'ISCSI_PORTAL_UNREACHABLE') && error.details.exitName === 'pduTimeout',
    withinMs: CUT_MS,
    firstPauseMs: FIRST_PAUSE_MS,
    ...options,
  })
}

// Credentials reach iscsiadm in the portal's discovery record only; afterwards it is gone, or what it was.
async function prepareRecord(
  { nodeDb, runner }: DiscoveryTools,
  portal: Portal,
  settings: ReturnType<typeof chapSettings>,
  options: UpdateOptions
): Promise<() => Promise<void>> {
  const find = async (): Promise<DiscoveryRecord | undefined> => {
    const found = await nodeDb.discoveryRecords()
    assertReadable(found, portal)
    return found.records.find(record => samePortal(record.portal, portal))
  }
  const existing = await find()
  if (existing !== undefined) {
    const change = await nodeDb.update(existing, settings, options)
    return async () => await change.restore()
  }
  const remove = async (): Promise<void> => {
    await forgetPortal({ nodeDb, runner }, portal)
  }
  await runner.whole(newDiscoveryRecord(portal), options)
  try {
    const made = await find()
    if (made === undefined) throw noRecord(portal)
    await nodeDb.update(made, settings, options)
    return remove
  } catch (error) {
    await collectFailures([['remove the discovery record', remove]])
    throw error
  }
}

/** Making a record where one is that cannot be read would destroy that. @throws {@link LunError} `NODE_RECORD_BROKEN` */
export function assertReadable({ broken }: DiscoveryRecords, portal: Portal): void {
  const lost = broken.find(({ path, reason }) => {
    const at = standsFor(path)?.portal
    return reason !== IS_EMPTY && at !== undefined && samePortal(at, portal)
  })
  if (lost === undefined) return
  const { path, line, reason } = lost
  throw new LunError('NODE_RECORD_BROKEN', `${path}: line ${line} ${reason}`, { path, line, reason })
}

function noRecord(portal: Portal): LunError<'ISCSI_NO_RECORD'> {
  const at = formatPortal(portal)
  const text = `open-iscsi made no discovery record for ${at}`
  return new LunError('ISCSI_NO_RECORD', text, { target: 'the discovery session', portal: at })
}
