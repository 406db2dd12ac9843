import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { formatPortal, type Portal, samePortal } from '../core/portal.ts'
import { collectFailures } from '../flow/collect.ts'
import { type Chap, chapSettings } from './chap.ts'
import { deleteDiscoveryRecord, discover, discoverByRecord, newDiscoveryRecord } from './discovery.commands.ts'
import type { DiscoveryRecord, NodeDb } from './node-db.ts'
import type { TargetPortal } from './portals.parse.ts'
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

interface DiscoveryTools {
  readonly nodeDb: NodeDb
  readonly runner: Runner
}

export async function discoverPortals(
  tools: DiscoveryTools,
  { portal, persistent = false, ifaces, chap, timeoutMs }: DiscoverRequest,
  options: OperationOptions = {}
): Promise<readonly TargetPortal[]> {
  const spec = { portal, ifaces, isPersistent: persistent, timeoutMs }
  if (chap === undefined) return await tools.runner.abortable(discover(spec), options)
  const settings = chapSettings(chap, 'discovery')
  const command = discoverByRecord(spec)
  const restore = await prepareRecord(tools, portal, settings, options)
  try {
    const found = await tools.runner.abortable(command, options)
    if (!persistent) await restore()
    return found
  } catch (error) {
    await collectFailures([['restore the discovery record', restore]])
    throw error
  }
}

// Credentials reach iscsiadm in the portal's discovery record only; afterwards it is gone, or what it was.
async function prepareRecord(
  { nodeDb, runner }: DiscoveryTools,
  portal: Portal,
  settings: ReturnType<typeof chapSettings>,
  options: OperationOptions
): Promise<() => Promise<void>> {
  const find = async (): Promise<DiscoveryRecord | undefined> =>
    (await nodeDb.discoveryRecords()).records.find(record => samePortal(record.portal, portal))
  const existing = await find()
  if (existing !== undefined) {
    const change = await nodeDb.update(existing, settings, options)
    return async () => await change.restore()
  }
  const remove = async (): Promise<void> => {
    if ((await find()) !== undefined) await runner.whole(deleteDiscoveryRecord(portal))
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

function noRecord(portal: Portal): LunError<'ISCSI_NO_RECORD'> {
  const at = formatPortal(portal)
  const text = `open-iscsi made no discovery record for ${at}`
  return new LunError('ISCSI_NO_RECORD', text, { target: 'the discovery session', portal: at })
}
