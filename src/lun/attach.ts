import { isLunError, LunError } from '../core/error.ts'
import { withDeadline } from '../flow/deadline.ts'
import { createLocalHost } from '../host/local.ts'
import { createAdmission } from './admission.ts'
import type { Attachment } from './attachment.ts'
import { type Context, createContext } from './context.ts'
import { detachLun } from './detach.ts'
import { type LunDeviceNode, verifyDevice } from './device.ts'
import { findEndpoints, liveSession } from './endpoints.ts'
import { explainLoginFailure } from './explain.ts'
import { finishJobs } from './jobs.ts'
import { createEntrance, startLatePaths } from './late.ts'
import { startLogin } from './login.ts'
import { createLunIdentity } from './lun-identity.ts'
import { createMade, isUnchanged, takeBack } from './made.ts'
import { type LunOptions, type Operation, runOnTarget } from './operation.ts'
import type { PathContext } from './path.ts'
import { type PathRun, startPath, waitForPaths } from './paths.ts'
import { ensureRecords } from './records.ts'
import { type AttachRequest, type AttachWish, checkAttachRequest, type Endpoint } from './request.ts'
import { notUndone } from './teardown.ts'

/**
 * Attaches a LUN to this host and returns once it can be used: node records, one login for all portals, a scan for
 * this LUN only, its multipath map, proof that every path leads to the same volume, and a test read.
 *
 * It returns with as many paths as `paths` asks for; missing ones are tried on and join later. What fails leaves
 * nothing behind that was not there before. A LUN that is attached already is checked and returned as it is.
 *
 * On abort or timeout it takes back what it did, waiting for logins on their way, then rejects.
 *
 * @throws {@link LunError} `INVALID_INPUT` before anything is touched; `NO_PORTALS`, `ISCSI_AUTH_FAILED`,
 * `ISCSI_LOGIN_REJECTED`, `ISCSI_PORTAL_UNREACHABLE`, `ISCSID_NOT_RUNNING`, `MULTIPATHD_NOT_RUNNING`, `LUN_NOT_FOUND`,
 * `LUN_MISMATCH`, `MULTIPATH_REQUIRED`, `DEVICE_UNREADABLE`, `NO_PATHS` when paths failed for different reasons,
 * `TIMEOUT`, `LOCK_TIMEOUT`, `ATTACH_NOT_UNDONE`
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
export async function attachLun(request: AttachRequest, options: LunOptions = {}): Promise<Attachment> {
  const wish = checkAttachRequest(request)
  const context = createContext(options.host ?? createLocalHost())
  const { target, lun } = wish
  const place = { operation: 'attach', target, lun } as const
  const attach = async (operation: Operation): Promise<Established> => await attachLocked(context, operation, wish)
  return toAttachment(await runOnTarget(context.host, place, options, attach), options)
}

/** An attach that succeeded, and the paths still on their way. */
interface Established {
  readonly shared: PathContext
  readonly node: LunDeviceNode
  readonly paths: readonly PathRun[]
  readonly stopPaths: AbortController
}

async function attachLocked(context: Context, operation: Operation, wish: AttachWish): Promise<Established> {
  await finishJobs(context, operation)
  const endpoints = await operation.step('portals', async () => await findEndpoints(context, operation, wish))
  if (wish.multipath === 'never') return await attachSingle(context, operation, wish, endpoints)
  try {
    if (!(await context.multipath.isRunning({ signal: operation.signal }))) throw notRunning()
    return await establish(context, operation, wish, endpoints, true)
  } catch (error) {
    const isMapFailure = isLunError(error, 'MULTIPATHD_NOT_RUNNING') || isLunError(error, 'MULTIPATH_REQUIRED')
    if (wish.multipath === 'required' || !isMapFailure) throw error
    operation.emit({ type: 'warning', message: `one plain path only: ${error.message}` })
    return await attachSingle(context, operation, wish, endpoints)
  }
}

// Two plain disks of one LUN would be an invitation to corrupt it, so one portal is tried after the other.
async function attachSingle(
  context: Context,
  operation: Operation,
  wish: AttachWish,
  endpoints: readonly Endpoint[]
): Promise<Established> {
  const sessions = await context.iscsiadm.sessions({ target: wish.target })
  const online = endpoints.filter(endpoint => liveSession(sessions, endpoint) !== undefined)
  const ordered = [...new Set([...online, ...endpoints])]
  let last: unknown
  for (const endpoint of ordered) {
    try {
      return await establish(context, operation, wish, [endpoint], false)
    } catch (error) {
      if (!isLunError(error, 'ISCSI_PORTAL_UNREACHABLE')) throw error
      last = error
    }
  }
  throw last
}

async function establish(
  context: Context,
  operation: Operation,
  wish: AttachWish,
  endpoints: readonly Endpoint[],
  isMultipath: boolean
): Promise<Established> {
  const made = await createMade(context)
  const identity = createLunIdentity(context, wish)
  const admit = createAdmission(context)
  const stopPaths = new AbortController()
  const entrance = createEntrance(context, operation, stopPaths.signal)
  const shared: PathContext = { context, operation, wish, made, identity, isMultipath, admit, enter: entrance.enter }
  const paths: PathRun[] = []
  try {
    const sessions = await context.iscsiadm.sessions({ target: wish.target })
    const offline = endpoints.filter(endpoint => liveSession(sessions, endpoint) === undefined)
    if (offline.length > 0) {
      await operation.step('records', async () => await ensureRecords(context, operation, wish, offline, made))
    }
    const login = await operation.step('login', async () => await startLogin(context, operation, wish, offline, made))
    paths.push(...endpoints.map(endpoint => startPath(shared, endpoint, login, stopPaths.signal)))
    await operation.step('paths', async () => await waitForPaths(shared, paths))
    const node = await operation.step('device', async () => await verifyDevice(shared, paths))
    operation.signal.throwIfAborted()
    // What has begun goes on under the lock of this attach; what begins later has to ask for it.
    entrance.close()
    for (const path of paths) if (path.hasSession()) operation.keep(path.settled)
    return { shared, node, paths, stopPaths }
  } catch (error) {
    stopPaths.abort(error)
    await Promise.all(paths.map(async path => await path.settled))
    const [explained] = await Promise.all([explainLoginFailure(context, wish, endpoints, error), undo(shared, error)])
    throw explained
  }
}

const UNDO_MS = 90_000 // the longest login on its way, the kernel's 30 s for a device, and some

async function undo({ context, operation, made, identity }: PathContext, error: unknown): Promise<void> {
  if (isUnchanged(made)) return
  const { target, lun } = operation
  const deadline = { timeoutMs: UNDO_MS, awaited: () => `the undoing of LUN ${lun} of ${target}` }
  const failed = await withDeadline(
    context.host.clock,
    deadline,
    async signal =>
      await operation.step(
        'undo',
        async () =>
          await takeBack(context, { target, lun, signal, step: async (_, task) => await task() }, made, identity.wwid)
      )
  )
  if (failed.length > 0) throw notUndone(error, target, lun, failed)
}

function toAttachment({ shared, node, paths, stopPaths }: Established, options: LunOptions): Attachment {
  const { operation, identity, made, wish } = shared
  const { target, lun } = operation
  const outcome = isUnchanged(made) ? 'already-attached' : 'attached'
  const outcomes = paths.map(path => path.outcome())
  const late = startLatePaths(shared, paths, stopPaths)
  const detach: Attachment['detach'] = async detachOptions => {
    await late.stop()
    return await detachLun({ target, lun }, { host: options.host, ...detachOptions })
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
      if (outcome === 'attached') await detach()
    },
  }
}

function notRunning(): LunError<'MULTIPATHD_NOT_RUNNING'> {
  return new LunError('MULTIPATHD_NOT_RUNNING', 'multipathd does not run', { command: 'multipathd show status' })
}
