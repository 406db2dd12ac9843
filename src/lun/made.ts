import type { FailedStep } from '../core/error-details.ts'
import { formatHctl } from '../core/hctl.ts'
import { collectFailures } from '../flow/collect.ts'
import type { Context } from './context.ts'
import { sessionsAt } from './endpoints.ts'
import { describeLun, findDevices } from './find-lun.ts'
import type { Operation } from './operation.ts'
import type { Endpoint } from './request.ts'
import { type Leftovers, tearDown } from './teardown.ts'

/** What one attach did so far, noted before each effect, so that exactly this can be taken back. */
export interface Made {
  /** Paths of node records created. */
  readonly records: string[]
  /** Puts back the former text of records that were there before. */
  readonly restores: (() => Promise<void>)[]
  /** Endpoints logged in, or told to. */
  readonly logins: Endpoint[]
  /** Login commands that still run: iscsid cannot be told to stop, so they are waited for. */
  readonly running: Promise<unknown>[]
  /** SCSI devices that were scanned in, as `host:channel:target:lun`. */
  readonly hctls: Set<string>
  /** Disks given to multipathd. */
  readonly joined: Set<string>
  /** multipath's wwids file as it was before. */
  readonly wwidsBefore: readonly string[]
}

export async function createMade({ multipath }: Context): Promise<Made> {
  const wwidsBefore = await multipath.wwids()
  return { records: [], restores: [], logins: [], running: [], hctls: new Set(), joined: new Set(), wwidsBefore }
}

/** Whether nothing was changed at all. */
export function isUnchanged({ records, restores, logins, hctls, joined }: Made): boolean {
  return [records, restores, logins, [...hctls], [...joined]].every(list => list.length === 0)
}

const BUSY_MS = 5000
const REMOVE_MS = 30_000

/** Takes back what a failed attach made. Its signal is the undo's own: the caller's has fired by now. */
export async function takeBack(
  context: Context,
  operation: Pick<Operation, 'signal' | 'step' | 'target' | 'lun'>,
  made: Made,
  wwid: string | undefined
): Promise<readonly FailedStep[]> {
  const { target, lun } = operation
  await Promise.allSettled(made.running)
  const sessions = await context.iscsiadm.sessions({ target })
  const all = await findDevices(context, sessions, lun)
  const devices = all.filter(({ hctl }) => made.hctls.has(formatHctl(hctl)))
  const found = await describeLun(context.host.files, devices, wwid)
  const isNew = (entry: string | undefined): entry is string => entry !== undefined && !made.wwidsBefore.includes(entry)
  const leftovers: Leftovers = {
    map: devices.length === 0 || found.isShared ? undefined : found.map,
    devices,
    isDirty: false,
    // Where the LUN was not the one expected, multipathd may have made a map of what it was.
    wwidEntries: found.isShared ? [] : [wwid, found.map?.wwid].filter(isNew),
    sessions: made.logins.flatMap(endpoint => sessionsAt(sessions, endpoint)),
    records: made.records,
  }
  return [
    ...(await tearDownWhatGoes(context, operation, leftovers)),
    ...(await collectFailures(made.restores.map(restore => ['restore a node record', restore] as const))),
    ...(await collectFailures([['note what is left', async () => await settle(context, operation)]])),
  ]
}

async function tearDownWhatGoes(
  context: Context,
  operation: Parameters<typeof tearDown>[1],
  leftovers: Leftovers
): Promise<readonly FailedStep[]> {
  try {
    return await tearDown(context, operation, leftovers, { busyMs: BUSY_MS, removeMs: REMOVE_MS })
  } catch (error) {
    return [{ step: 'flush', message: error instanceof Error ? error.message : String(error) }]
  }
}

async function settle(
  { iscsiadm, ledger, scsi }: Context,
  { target, lun }: Pick<Operation, 'target' | 'lun'>
): Promise<void> {
  const sessions = await iscsiadm.sessions({ target })
  const devices = await Promise.all(sessions.map(async session => await scsi.devices(session)))
  if (devices.flat().some(device => device.lun === lun)) return // it was attached before, and still is
  await ledger.settle(target, lun, { isEnded: sessions.length === 0 })
}
