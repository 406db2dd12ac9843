import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { formatPortal, type Portal, samePortal } from '../core/portal.ts'
import { collectFailures } from '../flow/collect.ts'
import type { Host } from '../host/host.ts'
import { standsFor } from './db-path.ts'
import { newDiscoveryRecord } from './discovery.commands.ts'
import type { DiscoveryRecord, DiscoveryRecords, FormerSettings, NodeDb } from './node-db.ts'
import { isAsMade, noteOfMade, type RecordNote } from './own-record.ts'
import { IS_EMPTY } from './record.parse.ts'
import { isSecretSetting, type RecordSettings } from './record-settings.ts'
import type { Runner } from './runner.ts'
import { lookAtRecord, type StandingRecord } from './standing-record.ts'

/**
 * Hears what is done to the discovery record that credentials take, before it is done; all of it while no other discovery of
 * the portal runs. What it throws ends the discovery.
 */
export interface DiscoveryNotes {
  /** Nothing was done yet: the time to put right what one who died has left. */
  begin(): Promise<void>
  /** A record is about to be made. */
  making(): Promise<void>
  /** A record is about to be changed, secrets in plain text. */
  changing(note: RecordNote): Promise<void>
  /** It is gone, or as it was. */
  over(): Promise<void>
}

/** What a discovery record is made and changed by. */
export interface RecordTools extends Pick<Host, 'files'> {
  readonly nodeDb: NodeDb
  readonly runner: Runner
}

/** Credentials reach iscsiadm in the portal's discovery record only; afterwards it is gone, or what it was. */
export async function prepareRecord(
  { nodeDb, runner, files }: RecordTools,
  portal: Portal,
  settings: RecordSettings,
  { signal, notes }: OperationOptions & { readonly notes: DiscoveryNotes | undefined }
): Promise<RecordNote> {
  const find = async (): Promise<DiscoveryRecord | undefined> => {
    const found = await nodeDb.discoveryRecords({ isSettled: true, signal })
    assertReadable(found, portal)
    return found.records.find(record => samePortal(record.portal, portal))
  }
  const existing = await find()
  if (existing !== undefined) {
    const { path } = existing
    const onChange = async (former: FormerSettings): Promise<void> => await notes?.changing({ path, former })
    return { path, former: await nodeDb.update(existing, settings, { signal, onChange }) }
  }
  await notes?.making()
  await runner.whole(newDiscoveryRecord(portal), { signal })
  const path = (await find())?.path
  const made = path === undefined ? undefined : await lookAtRecord(files, path)
  if (path === undefined || made === undefined) throw noRecord(portal)
  const note = noteOfMade(path, made, settings)
  try {
    await notes?.changing(note)
    await nodeDb.update({ path }, settings, { signal })
    return note
  } catch (error) {
    const remove = async (): Promise<void> => {
      await settleDiscovery(nodeDb, note)
      await notes?.over()
    }
    await collectFailures([['remove the discovery record', remove]])
    throw error
  }
}

/**
 * Takes back what was done to a discovery record: one that was made goes, unless somebody else has made or changed it since;
 * that one loses our credentials if it has them still. One that was there before is put back. False for one that was made
 * and stays.
 */
export async function settleDiscovery(
  nodeDb: Pick<NodeDb, 'remove' | 'putBack'>,
  note: RecordNote,
  options?: OperationOptions
): Promise<boolean> {
  const { path, former, made } = note
  let kept: StandingRecord | undefined
  if (made !== undefined) {
    const onlyIf = (found: StandingRecord): boolean => {
      kept = isAsMade(note, found) ? undefined : found
      return kept === undefined
    }
    await nodeDb.remove(path, { ...options, onlyIf })
  }
  // What else is as we would have it may be so by his wish.
  const isHeld = made === undefined ? former.size > 0 : kept !== undefined && holdsSecret(kept, former)
  if (isHeld) await nodeDb.putBack(note, former, options)
  return kept === undefined
}

function holdsSecret({ settings }: StandingRecord, former: FormerSettings): boolean {
  return [...former].some(([name, { ours }]) => {
    const now = settings.get(name)
    return now !== undefined && isSecretSetting(name) && ours.includes(now)
  })
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
