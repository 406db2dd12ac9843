import { integer } from '../core/check.ts'
import { isLunError, LunError } from '../core/error.ts'
import type { FailedStep } from '../core/error-details.ts'
import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import type { Detachment } from './detaching/detachment.ts'
import { createForce } from './detaching/force.ts'
import { leaveAfterOthers, leaveTarget } from './detaching/leave.ts'
import { linger } from './detaching/linger.ts'
import { restoreQueueing } from './detaching/queueing.ts'
import { tearDown } from './detaching/teardown.ts'
import type { Unwritten } from './detaching/write-through.ts'
import type { LunEntry, Owner, OwnerState } from './journal/entries.ts'
import { currentOwners, isLasting } from './journal/expiry.ts'
import { withVolume } from './locks.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, type Operation, runOnLun } from './operation.ts'
import { checkAddress, type LunAddress } from './request.ts'
import { isHeldElsewhere } from './volume/elsewhere.ts'
import { type FoundLun, findLun } from './volume/find-lun.ts'
import { hasLiveForeignPath } from './volume/foreign-paths.ts'
import { assertUnused, describeBusy, findFinalUser } from './volume/in-use.ts'
import { isNothing } from './volume/leftovers.ts'

/** Options of {@link detachLun}. */
export interface DetachOptions extends LunOptions {
  /** How long the device may stay busy with something that is ending by itself. Default 5000. */
  readonly busyMs?: number | undefined
  /**
   * Where no path works any more, fails what waits to be written to this map, so that its writer lets go of it: that
   * data is lost, and `writes` says so. Refused all the same while a mount, another device or a guest uses the LUN. A
   * LUN that nobody has open needs no force: its last user's close wrote everything. A disk without a map does while its
   * path does not work but may again.
   */
  readonly force?: boolean | undefined
  /**
   * How long the LUN stays on this host after its last owner, for whoever attaches it next: that costs no login then. 0
   * to 3 600 000, default 0. Everything is written when the detach returns, and nobody has the device open, as the
   * kernel counts, so another host may use the volume. With `force`, without a map, or where not every path works and is
   * in the map, the LUN is detached at once all the same. `releaseExpired` or `reconcile`, called by whatever process, ends it when its time is over.
   */
  readonly lingerMs?: number | undefined
}

const BUSY_MS = 5000
const MAX_LINGER_MS = 3_600_000

/**
 * Lets go of a LUN, and detaches it from this host when nobody else holds it: refuses while it is in use, flushes its
 * map, deletes its devices, logs out the sessions on which no other LUN lives, and deletes the node records that
 * attaching created. Does nothing, and says so, when the LUN is not attached. Needs nothing but target and LUN number.
 *
 * On abort or timeout it stops between two steps; calling it again goes on from there.
 *
 * @throws {@link LunError} `LUN_IN_USE` (nothing was changed), `DETACH_INCOMPLETE` (with what is left), `INVALID_INPUT`,
 * `TIMEOUT` (also where nobody can say whether the LUN is used), `LOCK_TIMEOUT`, `MULTIPATHD_NOT_RUNNING`;
 * `JOURNAL_UNREADABLE` (nothing was changed) when nobody knows who holds the LUN
 * @example
 * ```ts
 * import { detachLun } from 'xen-lun'
 *
 * const { outcome } = await detachLun({ target: 'iqn.2001-05.com.example:vm1', lun: 0 })
 * console.log(outcome) // 'detached', 'already-detached', or 'released' while others hold it
 * ```
 */
export async function detachLun(address: LunAddress, options: DetachOptions = {}): Promise<Detachment> {
  const place = checkAddress(address)
  const { lingerMs = 0 } = checkOptions(options)
  integer(lingerMs, 'lingerMs', 0, MAX_LINGER_MS)
  const host = options.host ?? createLocalHost()
  const context = createContext(host)
  return await runOnLun(
    host,
    { operation: 'detach', ...place },
    options,
    async operation => await detachLocked(context, operation, options)
  )
}

type DetachHow = Pick<DetachOptions, 'busyMs' | 'force' | 'timeoutMs' | 'lingerMs'>

/** Lets go for the operation's owner. The caller has the LUN's lock. */
export async function detachLocked(context: Context, operation: Operation, options: DetachHow): Promise<Detachment> {
  const { target, lun, owner } = operation
  const { journal, host } = context
  await restoreQueueing(context, operation)
  const entry = await journal.lun(operation)
  const owners = entry?.owners ?? new Map<string, Owner>()
  const held = owners.get(owner)
  const others = (await currentOwners(host.files, owners)).filter(name => name !== owner)
  const kept = { target, lun, wwid: entry?.wwid, owners: others, writes: 'written' } as const
  if (others.length > 0) {
    if (held !== undefined) await journal.dropOwners(operation, [owner])
    return { ...kept, outcome: held === undefined ? 'already-detached' : 'released' }
  }
  const { busyMs = BUSY_MS, force = false, lingerMs = 0 } = options
  if (lingerMs > 0 && !force && isLasting(held)) {
    const found = await findLun(context, operation, entry)
    const left = await linger(context, operation, { ...found, known: entry?.wwid }, { busyMs, lingerMs })
    if (left !== undefined) return left
  }
  const taken = await takeFound(context, operation, { entry, held }, options)
  return await leave(context, operation, taken, options)
}

/** What the journal has of a LUN, and how its last owner held it. */
interface Noted {
  readonly entry: LunEntry | undefined
  readonly held: Owner | undefined
}

/** What was taken away of a LUN. */
interface Taken {
  readonly found: FoundLun
  readonly writes: Detachment['writes']
}

/**
 * Takes a LUN's devices away that nobody else holds. Another target may lead to the volume, too: who leaves last flushes
 * its map, and there must be one who does, and nobody who gets it meanwhile.
 */
async function takeFound(context: Context, operation: Operation, noted: Noted, options: DetachHow): Promise<Taken> {
  const { entry, held } = noted
  const find = async (): Promise<FoundLun> => await findLun(context, operation, entry)
  const wwid = entry?.wwid ?? (await find()).wwid
  return await withVolume(context.host, wwid, operation, async () => {
    const found = await find()
    const take = async (now: FoundLun): Promise<Taken> => await takeAway(context, operation, { ...now, held }, options)
    try {
      return await take(found)
    } catch (error) {
      // multipathd makes maps by itself of disks that somebody scanned and then died.
      const again = found.map === undefined ? await find() : found
      if (again.map === undefined || again.map === found.map || !isLunError(error, 'LUN_IN_USE')) throw error
      return await take(again)
    }
  })
}

async function takeAway(
  context: Context,
  operation: Operation,
  found: FoundLun & Pick<Noted, 'held'>,
  options: DetachHow
): Promise<Taken> {
  const { busyMs = BUSY_MS, timeoutMs = OPERATION_TIMEOUT_MS, force = false } = options
  const { held } = found
  let writes: Detachment['writes'] = 'written'
  if (isNothing(found.leftovers)) return { found, writes }
  const forced = createForce(context, operation, found, force)
  const hasOtherPath = await hasLiveForeignPath(context, found, operation.signal)
  // Whoever has it by another target keeps the map, be it without a path that works: only its users are in the way.
  const isHeld = await isHeldElsewhere(context, operation, found)
  const isMapKept = hasOtherPath || isHeld
  const used = await operation.step('in-use', async () => {
    try {
      // By force, what waits in the map is failed if need be, so that processes let go of it.
      const isFlushed = force && !isMapKept
      return await assertUnused(context, operation, found, { busyMs, isFlushed, isMapKept: hasOtherPath })
    } catch (error) {
      throw await forced.advise(error)
    }
  })
  const note = async (next: OwnerState | undefined): Promise<void> => {
    if (held === undefined || next === undefined) return
    await context.journal.noteOwner(operation, operation.owner, next, held.expiry)
  }
  await note('detaching')
  const onBusy = async (): Promise<Error | undefined> =>
    (await forced.letGo()) ? undefined : await findFinalUser(context, operation, found)
  const onUnwritten = ({ disk, reason, isGivenUp }: Unwritten): void => {
    writes = isGivenUp || writes === 'lost' ? 'lost' : 'unknown'
    const what = isGivenUp ? 'what was to be written to it is lost' : 'what was written to it last may be lost'
    operation.emit({ type: 'warning', message: `${disk} was deleted, and ${what}: ${reason}` })
  }
  const { map, leftovers } = found
  const gone = {
    ...leftovers,
    ...(isMapKept ? { map: undefined, wwid: undefined, wwidEntries: [] } : { map }),
    dirty: [...leftovers.dirty, ...used],
  }
  const how = { busyMs, removeMs: timeoutMs, onBusy, force, onUnwritten }
  const failed = await tearDown(context, operation, gone, how).catch(async (error: unknown) => {
    await forced.restore()
    const isBusy = isLunError(error, 'MAP_BUSY')
    // Refused: nothing was changed, and its owner has it still.
    if (isBusy || isLunError(error, 'LUN_IN_USE')) await note(held?.state)
    throw await forced.advise(isBusy ? await describeBusy(context, operation, found) : error)
  })
  if (failed.length > 0) throw incomplete(operation, failed)
  if (hasOtherPath && !isHeld && map !== undefined) {
    const paths = found.foreignPaths.join(', ')
    const message = `map ${map.name} stays, with multipath's entry of its WWID: ${paths}, by another session, is a path of it`
    operation.emit({ type: 'warning', message })
  }
  return { found, writes: forced.isLost() ? 'lost' : writes }
}

/** Ends what nobody needs any more of the target, and forgets the LUN. */
async function leave(
  context: Context,
  operation: Operation,
  { found: { leftovers, wwid, adopted }, writes }: Taken,
  { timeoutMs = OPERATION_TIMEOUT_MS }: DetachHow
): Promise<Detachment> {
  const { target, lun } = operation
  const left = await leaveTarget(context, operation, { removeMs: timeoutMs, adopted, leaving: operation })
  if (left.failed.length > 0) throw incomplete(operation, left.failed)
  await context.journal.forgetLun(operation)
  const late = await leaveAfterOthers(context, operation, timeoutMs)
  if (late.length > 0) throw incomplete(operation, late)
  const outcome = isNothing(leftovers) && !left.isChanged ? 'already-detached' : 'detached'
  return { outcome, target, lun, wwid, owners: [], writes }
}

function incomplete({ target, lun, signal }: Operation, steps: readonly FailedStep[]): Error {
  const left = steps.map(({ step, message }) => `${step}: ${message}`).join('; ')
  const reason: unknown = signal.reason
  if (isLunError(reason, 'TIMEOUT')) {
    const awaited = `${reason.details.awaited}: ${steps.map(({ step }) => step).join(', ')}`
    return new LunError('TIMEOUT', `${reason.message}: ${left}`, { ...reason.details, awaited }, { cause: reason })
  }
  signal.throwIfAborted()
  const text = `LUN ${lun} of ${target} is not wholly detached: ${left}`
  return new LunError('DETACH_INCOMPLETE', text, { target, lun, steps })
}
