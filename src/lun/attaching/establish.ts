import type { Iqn } from '../../core/iqn.ts'
import { withDeadline } from '../../flow/deadline.ts'
import type { Context } from '../context.ts'
import { notUndone } from '../detaching/teardown.ts'
import { finishJobs, hasJobs } from '../journal/jobs.ts'
import { withTarget } from '../locks.ts'
import type { LunOptions, Operation } from '../operation.ts'
import type { AttachWish, Endpoint } from '../request.ts'
import { findDevices } from '../volume/find-lun.ts'
import { createLunIdentity } from '../volume/lun-identity.ts'
import { createAdmission } from './admission.ts'
import { findDevice } from './device.ts'
import { liveSession } from './endpoints.ts'
import { createEntrance } from './entrance.ts'
import { explainLoginFailure } from './explain.ts'
import { type HandedOver, type Held, handOver } from './hand-over.ts'
import { consumeHolds, type Hold, holdLun, restoreHold } from './hold.ts'
import { startLogin } from './login.ts'
import { createMade, endLogins, isUnchanged, takeBack } from './made.ts'
import type { PathContext } from './path.ts'
import { type PathRun, startPath, waitForPaths } from './paths.ts'
import { ensureRecords } from './records.ts'

/** Options of {@link attachLun}. */
export interface AttachOptions extends LunOptions {
  /**
   * Called when the device is proven and no other domain has it, right before the attach returns; for an owner that is a
   * XENBUS_PATH also under the lock of Xen's own block scripts. This is the place to write xenstore. What it throws
   * undoes the attach.
   */
  readonly handOver?: ((device: HandedOver) => Promise<void>) | undefined
  /**
   * Deadline of taking back what a failed attach did, which a login on its way may need. What is not taken back then
   * stays its owner's in the journal. Default 90 000.
   */
  readonly undoTimeoutMs?: number | undefined
}

export type Wish = AttachWish &
  Pick<AttachOptions, 'handOver' | 'undoTimeoutMs'> & {
    /** The LUN is not handed over but kept ready, for that long. */
    readonly ttlMs?: number | undefined
  }

/** An attach that succeeded, and the paths still on their way. */
export interface Established extends Held {
  readonly hold: Hold
  readonly shared: PathContext
  readonly paths: readonly PathRun[]
  readonly stopPaths: AbortController
}

/**
 * Attaches over these endpoints: holds the LUN, brings paths up until there are enough, proves the device and hands it over.
 * What fails is taken back.
 */
export async function establish(
  context: Context,
  operation: Operation,
  wish: Wish,
  endpoints: readonly Endpoint[],
  isMultipath: boolean
): Promise<Established> {
  const hold = await holdLun(context, operation, wish.ttlMs)
  const made = await createMade(context, hold.isNew)
  const identity = createLunIdentity(context, operation, wish, hold.wwid)
  const admit = createAdmission(context, operation)
  const stopPaths = new AbortController()
  const entrance = createEntrance(context, operation, stopPaths.signal)
  const shared = { context, operation, wish, made, identity, isMultipath, admit, entrance } satisfies PathContext
  const paths: PathRun[] = []
  try {
    await startPaths(shared, endpoints, paths, stopPaths.signal)
    const found = await operation.step('device', async () => await findDevice(shared, paths))
    const { node, expiry } = await handOver(shared, found, hold, wish.handOver)
    if (hold.ttlMs === undefined) await consumeHolds(context, operation)
    // What has begun goes on under the lock of this attach; what begins later has to ask for it.
    entrance.leaveLun()
    for (const path of paths) {
      if (path.hasSession() && path.outcome().state === 'pending') operation.keep(path.settled)
    }
    return { shared, hold, expiry, node, paths, stopPaths }
  } catch (error) {
    stopPaths.abort(error)
    await Promise.all(paths.map(async path => await path.settled))
    const [explained] = await Promise.all([
      explainLoginFailure(context, wish, endpoints, error),
      undo(shared, hold, error),
    ])
    throw explained
  }
}

/** Resolves when enough paths are up. The target is kept from others until the LUN lives on the sessions it is to use. */
async function startPaths(
  shared: PathContext,
  endpoints: readonly Endpoint[],
  paths: PathRun[],
  signal: AbortSignal
): Promise<void> {
  const { context, operation, wish, made, entrance } = shared
  const { target, lun } = wish
  let enough: Promise<void> = Promise.resolve()
  const begin = async (offline: readonly Endpoint[]): Promise<void> => {
    if (offline.length > 0) {
      await operation.step('records', async () => await ensureRecords(context, operation, wish, offline, made))
    }
    const login = await operation.step('login', async () => await startLogin(shared, offline, operation.signal))
    paths.push(...endpoints.map(endpoint => startPath(shared, endpoint, login, signal)))
    enough = operation.step('paths', async () => await waitForPaths(shared, paths))
    const over = enough.catch(() => {})
    await Promise.race([Promise.all(paths.map(async path => await path.pinned)), over])
    if (made.jobs.length > 0 && paths.every(path => path.hasSession())) await endLogins(context, target, made)
    await entrance.leaveTarget()
  }
  if (await isEverywhere(context, wish, endpoints)) await begin([])
  else {
    let isBeside = false
    const lane = async (): Promise<string | undefined> => {
      isBeside = !(await hasJobs(context, target)) && (await findOffline(context, target, endpoints)).length === 0
      return isBeside ? `LUN ${lun}` : undefined
    }
    await withTarget(context.host, target, { ...operation, lane }, async () => {
      if (isBeside) {
        await begin([])
        return
      }
      await finishJobs(context, target, { withLogins: false, signal: operation.signal })
      await begin(await findOffline(context, target, endpoints))
    })
  }
  await enough
}

async function findOffline(
  { iscsiadm }: Context,
  target: Iqn,
  endpoints: readonly Endpoint[]
): Promise<readonly Endpoint[]> {
  const sessions = await iscsiadm.sessions({ target })
  return endpoints.filter(endpoint => liveSession(sessions, endpoint) === undefined)
}

/** Sessions the LUN lives on are nobody's to log out. */
async function isEverywhere(context: Context, wish: Wish, endpoints: readonly Endpoint[]): Promise<boolean> {
  const sessions = await context.iscsiadm.sessions({ target: wish.target })
  const devices = await findDevices(context, sessions, wish.lun)
  return endpoints.every(endpoint => {
    const live = liveSession(sessions, endpoint)
    return live !== undefined && devices.some(({ session }) => session.sid === live.sid)
  })
}

type UndoContext = Pick<PathContext, 'context' | 'operation' | 'made' | 'identity'> & {
  readonly wish: Pick<Wish, 'undoTimeoutMs'>
}

const UNDO_MS = 90_000 // the longest login on its way, the kernel's 30 s for a device, and some

async function undo(
  { context, operation, made, identity, wish }: UndoContext,
  hold: Hold,
  error: unknown
): Promise<void> {
  const { target, lun, owner } = operation
  await restoreHold(context, operation, hold)
  if (isUnchanged(made)) {
    if (hold.isNew) await context.journal.dropOwners(operation, [owner])
    return
  }
  const { undoTimeoutMs: timeoutMs = UNDO_MS } = wish
  operation.emit({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
  const deadline = { timeoutMs, awaited: () => `the undoing of LUN ${lun} of ${target}` }
  const failed = await withDeadline(
    context.host.clock,
    deadline,
    async signal =>
      await operation.step(
        'undo',
        async () =>
          await takeBack(
            context,
            { ...operation, signal, timeoutMs, step: async (_, task) => await task() },
            made,
            identity.wwid
          )
      )
  )
  if (failed.length > 0) throw notUndone(error, target, lun, failed)
}
