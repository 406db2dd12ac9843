import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { type Portal, portalKey, samePortal } from '../core/portal.ts'
import { collectFailures } from '../flow/collect.ts'
import { retry } from '../flow/retry.ts'
import type { Command } from '../host/command.ts'
import type { Host } from '../host/host.ts'
import type { LockOptions } from '../host/locks.ts'
import { type Chap, chapSettings } from './chap.ts'
import { DISCOVERY_TIMEOUT_MS, deleteDiscoveryRecord, discover, discoverByRecord } from './discovery.commands.ts'
import { type DiscoveryNotes, prepareRecord, type RecordTools, settleDiscovery } from './discovery-record.ts'
import type { TargetPortal } from './portals.parse.ts'

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

/** How a portal is asked. */
export interface DiscoverOptions extends OperationOptions {
  /** For those who may die meanwhile. */
  readonly notes?: DiscoveryNotes | undefined
}

type DiscoveryTools = RecordTools & Pick<Host, 'clock' | 'locks'>

const CUT_MS = 3000 // less than iscsiadm itself tries a portal that refuses
const FIRST_PAUSE_MS = 200

/**
 * One discovery at a time: all of a host's have the same initiator session id, and a target ends the older session of
 * two that have (RFC 7143, session reinstatement). Seen with LIO: of two at once often both end with exit 11.
 */
export async function discoverPortals(
  tools: DiscoveryTools,
  request: DiscoverRequest,
  options: DiscoverOptions = {}
): Promise<readonly TargetPortal[]> {
  const ask = async (): Promise<readonly TargetPortal[]> => await askPortal(tools, request, options)
  const { portal, timeoutMs = DISCOVERY_TIMEOUT_MS } = request
  return await withDiscovery(tools, portal, { signal: options.signal, timeoutMs }, ask)
}

/** Runs `task` while nobody of this library asks a portal, or changes its discovery record. @throws {@link LunError} `LOCK_TIMEOUT` */
export async function withDiscovery<T>(
  { locks }: Pick<Host, 'locks'>,
  portal: Portal,
  options: LockOptions,
  task: () => Promise<T>
): Promise<T> {
  return await locks.withLock(`discovery ${portalKey(portal)}`, task, options)
}

async function askPortal(
  tools: DiscoveryTools,
  { portal, persistent = false, ifaces, chap, timeoutMs }: DiscoverRequest,
  { signal, notes }: DiscoverOptions
): Promise<readonly TargetPortal[]> {
  const spec = { portal, ifaces, isPersistent: persistent, timeoutMs }
  if (chap === undefined) return await run(tools, discover(spec), { signal })
  const settings = chapSettings(chap, 'discovery')
  const command = discoverByRecord(spec)
  await notes?.begin()
  const note = await prepareRecord(tools, portal, settings, { signal, notes })
  const settle = async (): Promise<void> => {
    await settleDiscovery(tools.nodeDb, note)
    await notes?.over()
  }
  try {
    const found = await run(tools, command, { signal })
    if (persistent) await notes?.over()
    else await settle()
    return found
  } catch (error) {
    await collectFailures([['restore the discovery record', settle]])
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
