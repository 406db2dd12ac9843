import { diskWwid } from '../../block/volume.ts'
import type { DeviceUser, FailedStep } from '../../core/error-details.ts'
import { formatHctl } from '../../core/hctl.ts'
import type { Iqn } from '../../core/iqn.ts'
import { collectFailures } from '../../flow/collect.ts'
import { thisProcess } from '../../host/process-id.ts'
import type { Context } from '../context.ts'
import { createForce } from '../detaching/force.ts'
import { leaveAfterOthers, leaveTarget } from '../detaching/leave.ts'
import { tearDown } from '../detaching/teardown.ts'
import { otherLogins } from '../journal/jobs.ts'
import { withTarget, withVolume } from '../locks.ts'
import type { Operation } from '../operation.ts'
import type { Endpoint } from '../request.ts'
import { isHeldElsewhere } from '../volume/elsewhere.ts'
import { describeLun, findDevices, type LunDescription, type LunDevice } from '../volume/find-lun.ts'
import { assertUnused } from '../volume/in-use.ts'
import type { Leftovers } from '../volume/leftovers.ts'
import type { VolumeDevices } from '../volume/users.ts'

/** What one attach did so far, noted before each effect, so that exactly this can be taken back. */
export interface Made {
  /** Records that were there before and were changed; put back when the target is left. */
  readonly changed: string[]
  /** Endpoints whose node records were to be created. */
  readonly records: string[]
  /** Endpoints logged in, or told to. */
  readonly logins: Endpoint[]
  /** The jobs by which they are in the journal. */
  readonly jobs: string[]
  /** Endpoints noted as ours where it was somebody else who logged in, whom the journal does not know. */
  readonly strangers: Set<string>
  /** Login commands that still run: iscsid cannot be told to stop, so they are waited for. */
  readonly running: Promise<unknown>[]
  /** SCSI devices that were scanned in, as `host:channel:target:lun`. */
  readonly hctls: Set<string>
  /** Disks given to multipathd. */
  readonly joined: Set<string>
  /** multipath's wwids file as it was before. */
  readonly wwidsBefore: readonly string[]
  /** Whether the owner did not hold the LUN before. */
  readonly isHoldNew: boolean
  /** The device was handed over, or nearly so: somebody may have it open. */
  isOffered: boolean
}

export async function createMade({ multipath }: Context, isHoldNew: boolean): Promise<Made> {
  const wwidsBefore = await multipath.wwids()
  return {
    records: [],
    changed: [],
    logins: [],
    jobs: [],
    strangers: new Set(),
    running: [],
    hctls: new Set(),
    joined: new Set(),
    wwidsBefore,
    isHoldNew,
    isOffered: false,
  }
}

/** Whether nothing was changed on the host. */
export function isUnchanged({ records, changed, logins, hctls, joined }: Made): boolean {
  return [records, changed, logins, [...hctls], [...joined]].every(list => list.length === 0)
}

const BUSY_MS = 5000
const REMOVE_MS = 30_000

/** Takes back what a failed attach made. Its signal is the undo's own: the caller's has fired by now. */
export async function takeBack(
  context: Context,
  operation: Operation,
  made: Made,
  wwid: string | undefined
): Promise<readonly FailedStep[]> {
  await Promise.allSettled(made.running)
  const take = async (): Promise<readonly FailedStep[]> => await takeDevices(context, operation, made, wwid)
  const torn = await withVolume(context.host, wwid, operation, take).catch(error => failedTo('delete')(error).failed)
  const noted = await collectFailures([['note what is left', async () => await settle(context, operation, made)]])
  const left = await leave(context, operation, made, torn.length === 0).catch(
    error => failedTo('log out')(error).failed
  )
  return [...torn, ...noted, ...left]
}

/** Of a volume that somebody has by another target the map stays. */
async function takeDevices(
  context: Context,
  operation: Operation,
  made: Made,
  wwid: string | undefined
): Promise<readonly FailedStep[]> {
  const { target, lun } = operation
  const look = async (): Promise<FoundDevices> => {
    const sessions = await context.iscsiadm.sessions({ target })
    const all = await findDevices(context, sessions, lun)
    const devices = all.filter(({ hctl }) => made.hctls.has(formatHctl(hctl)))
    return { found: await describeLun(context.host.files, devices, wwid), devices, wwid }
  }
  const first = await look()
  try {
    return await takeFound(context, operation, made, first)
  } catch (error) {
    // Of devices that are new disks appear, and multipathd makes maps of them, at any moment.
    const again = await look()
    if (first.found.map !== undefined || again.found.map === undefined) return failedTo('in-use')(error).failed
    const last = takeFound(context, operation, made, again)
    return await last.catch((reason: unknown) => failedTo('in-use')(reason).failed)
  }
}

interface FoundDevices {
  readonly found: LunDescription
  readonly devices: readonly LunDevice[]
  readonly wwid: string | undefined
}

/** @throws {@link LunError} `LUN_IN_USE`, `TIMEOUT` before anything is changed */
async function takeFound(
  context: Context,
  operation: Operation,
  made: Made,
  { found, devices, wwid }: FoundDevices
): Promise<readonly FailedStep[]> {
  const isKept = found.isShared || (await isHeldElsewhere(context, operation, { ...found, wwid }))
  const isNew = (entry: string | undefined): entry is string => entry !== undefined && !made.wwidsBefore.includes(entry)
  // Where the LUN was not the one expected, or has told nobody yet, multipathd may have made a map of what it was.
  const shown = await Promise.all(found.disks.map(async ({ name }) => await diskWwid(context.host.files, name)))
  const names = [...new Set([wwid, found.map?.wwid, ...shown])]
  const leftovers: Leftovers = {
    map: devices.length === 0 || isKept ? undefined : found.map,
    devices,
    dirty: await untilUnused(context, operation, found, made),
    wwid: isKept ? undefined : names.find(name => name !== undefined),
    wwidEntries: isKept ? [] : names.filter(isNew),
  }
  // As long as nobody had the map, what waits for it is only our own test of it.
  const isOurs = !made.isOffered && isNew(found.map?.wwid)
  const force = createForce(context, { ...operation, emit: () => {} }, found, isOurs)
  const onBusy = async (): Promise<undefined> => {
    await force.letGo()
  }
  const torn = await tearDownWhatGoes(context, operation, leftovers, onBusy)
  await force.restore()
  return torn
}

/**
 * A disk may have been taken as soon as it was there, by LVM or a guest, also one below the map, which protects itself by
 * its flush. Answers the disks that somebody used meanwhile.
 *
 * @throws {@link LunError} `LUN_IN_USE`, `TIMEOUT`
 */
async function untilUnused(
  context: Context,
  operation: Operation,
  found: VolumeDevices,
  { isOffered }: Made
): Promise<readonly string[]> {
  if (found.disks.length === 0) return []
  const { pid } = await thisProcess(context.host.files)
  // Our own test of it may hang still.
  const isAllowed = async ({ kind, name }: DeviceUser): Promise<boolean> =>
    !isOffered && kind === 'process' && name.startsWith(`${pid} `)
  return await assertUnused(context, operation, found, {
    busyMs: BUSY_MS,
    isMapKept: found.map !== undefined,
    isAllowed,
  })
}

async function tearDownWhatGoes(
  context: Context,
  operation: Operation,
  leftovers: Leftovers,
  onBusy: () => Promise<undefined>
): Promise<readonly FailedStep[]> {
  const options = { busyMs: BUSY_MS, removeMs: REMOVE_MS, onBusy }
  return await tearDown(context, operation, leftovers, options).catch(error => failedTo('flush')(error).failed)
}

function failedTo(step: string): (error: unknown) => { readonly failed: readonly FailedStep[] } {
  return error => ({ failed: [{ step, message: error instanceof Error ? error.message : String(error) }] })
}

/** What could not be taken back stays its owner's, so that releasing the owner, or reconciling, can. */
async function settle(context: Context, operation: Operation, made: Made): Promise<void> {
  const { journal, host } = context
  if (made.isHoldNew) await journal.noteOwner(operation, operation.owner, 'attaching')
  if (made.logins.length === 0) return
  await withTarget(host, operation.target, operation, async () => await endLogins(context, operation.target, made))
}

/**
 * The logins of an attach have ended, so nobody has to wait for them any more; others' may still be on their way. The
 * caller holds the target's lock.
 */
export async function endLogins(context: Context, target: Iqn, { jobs, strangers }: Made): Promise<void> {
  const others = await Promise.all([...strangers].map(async key => await otherLogins(context, target, key, jobs)))
  const logins = [...strangers].filter((_, n) => others[n]?.length === 0)
  await context.journal.strikeTarget(target, { jobs, logins })
}

async function leave(
  context: Context,
  operation: Operation,
  { isHoldNew }: Made,
  isGone: boolean
): Promise<readonly FailedStep[]> {
  const { journal } = context
  const { owner } = operation
  const others = [...((await journal.lun(operation))?.owners.keys() ?? [])].filter(name => name !== owner)
  const isLast = isHoldNew && isGone && others.length === 0
  const { failed } = await leaveTarget(context, operation, {
    removeMs: REMOVE_MS,
    ...(isLast && { leaving: operation }),
  })
  if (!isHoldNew || !isGone || failed.length > 0) return failed
  await journal.dropOwners(operation, [owner])
  return await leaveAfterOthers(context, operation, REMOVE_MS)
}
