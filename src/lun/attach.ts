import { hasCode, isLunError, LunError } from '../core/error.ts'
import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import type { Attachment } from './attaching/attachment.ts'
import { findEndpoints, liveSession } from './attaching/endpoints.ts'
import { type AttachOptions, type Established, establish, type Wish } from './attaching/establish.ts'
import { startLatePaths } from './attaching/late.ts'
import { isUnchanged } from './attaching/made.ts'
import { type Context, createContext } from './context.ts'
import { detachLun } from './detach.ts'
import { restoreQueueing } from './detaching/queueing.ts'
import { isLasting } from './journal/expiry.ts'
import { finishJobs, hasJobs } from './journal/jobs.ts'
import { withTarget } from './locks.ts'
import { type Operation, runOnLun } from './operation.ts'
import { type AttachRequest, checkAttachRequest, type Endpoint } from './request.ts'
import { findDevices, findOnHost } from './volume/find-lun.ts'
import { assertNoPlainUse, findPlainHolder, heldElsewhere, noMapBeside, type PlainHolder } from './volume/plain.ts'
import { assertNotShared } from './volume/sharing.ts'

/**
 * Attaches a LUN to this host and returns once it can be used: node records, one login for all portals, a scan for
 * this LUN only, its multipath map, proof that every path leads to the same volume, and a test read.
 *
 * It returns with as many paths as `paths` asks for; missing ones are tried on and join later. What fails leaves
 * nothing behind that was not there before. A LUN that is attached already is checked and returned as it is.
 *
 * On abort or timeout it takes back what it did, waiting for logins on their way, then rejects.
 *
 * @throws {@link LunError} `INVALID_INPUT` before anything is touched; `JOURNAL_UNREADABLE` likewise, when nobody knows
 * who holds the LUN or its target's sessions; `LUN_SHARED`, `NO_PORTALS`, `ISCSI_AUTH_FAILED`, `ISCSI_LOGIN_REJECTED`,
 * `ISCSI_PORTAL_UNREACHABLE`, `ISCSID_NOT_RUNNING`, `NODE_RECORD_BROKEN`, `MULTIPATHD_NOT_RUNNING`, `LUN_NOT_FOUND`,
 * `LUN_MISMATCH`, `LUN_IN_USE`, `MULTIPATH_REQUIRED`, `DEVICE_UNREADABLE`, `NO_PATHS` when paths failed for different
 * reasons, `TIMEOUT`, `LOCK_TIMEOUT`, `ATTACH_NOT_UNDONE`
 * @example
 * ```ts
 * import { attachLun } from 'xen-lun'
 *
 * const lun = await attachLun({
 *   target: 'iqn.2001-05.com.equallogic:0-8a0906-vm1',
 *   portals: ['10.0.1.1', '10.0.2.1'],
 * })
 * console.log(lun.device, lun.isDegraded ? 'degraded' : 'all paths up')
 * await lun.detach()
 * ```
 */
export async function attachLun(request: AttachRequest, options: AttachOptions = {}): Promise<Attachment> {
  return toAttachment(await attachAs({}, request, options), options)
}

/** What is special about an attach. */
interface Special {
  /** The LUN is not handed over but kept ready, for that long. */
  readonly ttlMs?: number
  /** Runs when the LUN is locked and nothing has been done; what it throws ends the attach. */
  readonly check?: (context: Context, operation: Operation) => Promise<void>
}

export async function attachAs(
  { ttlMs, check }: Special,
  request: AttachRequest,
  options: AttachOptions
): Promise<Established> {
  const { handOver, undoTimeoutMs } = checkOptions(options)
  const wish: Wish = { ...checkAttachRequest(request), handOver, undoTimeoutMs, ttlMs }
  const context = createContext(options.host ?? createLocalHost())
  const { target, lun } = wish
  return await runOnLun(context.host, { operation: 'attach', target, lun }, options, async operation => {
    await check?.(context, operation)
    return await attachLocked(context, operation, wish)
  })
}

async function attachLocked(context: Context, operation: Operation, wish: Wish): Promise<Established> {
  await removeDrafts(context, operation)
  await finishTarget(context, operation)
  await restoreQueueing(context, operation)
  const entry = await context.journal.lun(operation)
  if (entry !== undefined && wish.sharing === 'refused') {
    const volume = await findOnHost(context, operation, entry.wwid)
    await assertNotShared(context, operation, volume, { isUser: wish.ttlMs === undefined })
  }
  const endpoints = await operation.step('portals', async () => await findEndpoints(context, operation, wish))
  const holder = await findPlainHolder(context, operation)
  if (wish.multipath === 'never') return await attachSingle(context, operation, wish, endpoints, holder)
  try {
    if (holder !== undefined) throw noMapBeside(holder)
    await assertNoPlainUse(context, operation)
    if (!(await context.multipath.isRunning({ signal: operation.signal }))) throw notRunning()
    return await establish(context, operation, wish, endpoints, true)
  } catch (error) {
    const isMapFailure = isLunError(error, 'MULTIPATHD_NOT_RUNNING') || isLunError(error, 'MULTIPATH_REQUIRED')
    if (wish.multipath === 'required' || !isMapFailure) throw error
    operation.emit({ type: 'warning', message: `one plain path only: ${error.message}` })
    return await attachSingle(context, operation, wish, endpoints, holder)
  }
}

/** Secrets of one who died while writing them. That it cannot be done is no reason to fail. */
async function removeDrafts({ nodeDb }: Context, { signal, emit }: Operation): Promise<void> {
  try {
    await nodeDb.removeDrafts({ signal })
  } catch (error) {
    signal.throwIfAborted()
    const reason = error instanceof Error ? error.message : String(error)
    emit({ type: 'warning', message: `drafts of node records that a dead process left stay: ${reason}` })
  }
}

// What a process that died had under way may be a record, and so a portal.
async function finishTarget(context: Context, operation: Operation): Promise<void> {
  const { target, signal } = operation
  if (!(await hasJobs(context, target))) return
  const finish = async (): Promise<void> => await finishJobs(context, target, { withLogins: false, signal })
  await withTarget(context.host, target, operation, finish)
}

// Another portal may do.
const isElsewhere = hasCode('ISCSI_PORTAL_UNREACHABLE', 'ISCSI_SESSION_UNUSABLE')

// Two plain disks of one LUN would be an invitation to corrupt it, so one portal is tried after the other, first those where
// the LUN is already; and where somebody has one, it is that one.
async function attachSingle(
  context: Context,
  operation: Operation,
  wish: Wish,
  endpoints: readonly Endpoint[],
  holder: PlainHolder | undefined
): Promise<Established> {
  const sessions = await context.iscsiadm.sessions({ target: wish.target })
  const devices = await findDevices(context, sessions, wish.lun)
  const liveAt = (endpoint: Endpoint): number | undefined => liveSession(sessions, endpoint)?.sid
  const online = endpoints.filter(endpoint => liveAt(endpoint) !== undefined)
  const there = online.filter(endpoint => devices.some(({ session }) => session.sid === liveAt(endpoint)))
  const its = online.filter(endpoint => holder?.device?.session.sid === liveAt(endpoint))
  const ordered = holder === undefined ? new Set([...there, ...online, ...endpoints]) : new Set(its)
  let last: unknown = holder === undefined ? undefined : await heldElsewhere(context, operation, holder)
  for (const endpoint of ordered) {
    try {
      return await establish(context, operation, wish, [endpoint], false)
    } catch (error) {
      if (!isElsewhere(error)) throw error
      last = error
    }
  }
  throw last
}

/** The handle of an attach; disposing of it ends the hold that this attach took. */
export function toAttachment(
  { shared, hold, node, paths, stopPaths }: Established,
  options: AttachOptions
): Attachment {
  const { operation, identity, made, wish } = shared
  const { target, lun, owner } = operation
  const outcome = isUnchanged(made) ? 'already-attached' : 'attached'
  const outcomes = paths.map(path => path.outcome())
  const late = startLatePaths(shared, paths, stopPaths)
  const detach: Attachment['detach'] = async detachOptions => {
    await late.stop()
    return await detachLun({ target, lun }, { host: options.host, owner, ...detachOptions })
  }
  return {
    outcome,
    target,
    lun,
    ...node,
    wwid: identity.wwid,
    paths: outcomes,
    isDegraded: outcomes.some(({ state }) => state !== 'up') && wish.multipath !== 'never',
    allPaths: late.allPaths,
    stop: late.stop,
    detach,
    [Symbol.asyncDispose]: async () => {
      await late.stop()
      if (hold.isNew || (hold.ttlMs === undefined && !isLasting(hold.former))) await detach()
    },
  }
}

function notRunning(): LunError<'MULTIPATHD_NOT_RUNNING'> {
  return new LunError('MULTIPATHD_NOT_RUNNING', 'multipathd does not run', { command: 'multipathd show status' })
}
