import { hasCode, isLunError, LunError } from '../../core/error.ts'
import type { FailedStep } from '../../core/error-details.ts'
import { formatHctl } from '../../core/hctl.ts'
import type { PathOutcome } from '../../core/path-outcome.ts'
import { withDeadline } from '../../flow/deadline.ts'
import { retry } from '../../flow/retry.ts'
import { tearDown } from '../detaching/teardown.ts'
import { finishJobs } from '../journal/jobs.ts'
import { withTarget, withVolume } from '../locks.ts'
import { isHeldElsewhere } from '../volume/elsewhere.ts'
import { describeLun, findDevices } from '../volume/find-lun.ts'
import { assertUnused } from '../volume/in-use.ts'
import { type Entrance, whileAttached } from './entrance.ts'
import { startLogin } from './login.ts'
import { endLogins } from './made.ts'
import type { PathContext } from './path.ts'
import { type PathRun, startPath } from './paths.ts'
import { ensureRecord } from './records.ts'

/** The missing paths of an attach that has returned. */
export interface LatePaths {
  /** Resolves with every path's last outcome when none is being tried any more. */
  readonly allPaths: () => Promise<readonly PathOutcome[]>
  /** Gives up on those still missing, and resolves when nothing of it runs any more. */
  readonly stop: () => Promise<void>
}

const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 5000
const LOCK_MS = 30_000

// What may pass by itself: a portal that is down, a host too busy for its own deadlines. A refusal is final.
const isPassing = hasCode(
  'ISCSI_PORTAL_UNREACHABLE',
  'ISCSI_SESSION_UNUSABLE',
  'MULTIPATH_REQUIRED',
  'TIMEOUT',
  'LOCK_TIMEOUT'
)

/**
 * Goes on trying the paths that were missing when the attach returned, for `lateMs`: a portal that comes back gives its
 * path then.
 */
export function startLatePaths(shared: PathContext, paths: readonly PathRun[], stopPaths: AbortController): LatePaths {
  const { context, wish, made } = shared
  const current = [...paths]
  const finish = async (first: PathRun, n: number, signal: AbortSignal): Promise<void> => {
    await first.settled
    const again = async (): Promise<void> => {
      const run = await tryAgain(shared, first, signal)
      current[n] = run
      const { error } = run.outcome()
      if (error !== undefined) throw error
    }
    if (isPassing(first.outcome().error)) {
      const pauses = { firstPauseMs: FIRST_PAUSE_MS, maxPauseMs: MAX_PAUSE_MS }
      const limits = { isPassing, ...pauses, withinMs: wish.paths.lateMs, signal }
      await retry(context.host.clock, again, limits).catch(() => {}) // its outcome tells
    }
    const { error, hctl } = current[n]?.outcome() ?? {}
    if (hctl !== undefined && isLunError(error, 'LUN_MISMATCH')) await dropForeign(shared, hctl)
  }
  const awaited = (): string => `late paths of LUN ${wish.lun} of ${wish.target}`
  const limits = { signal: stopPaths.signal, timeoutMs: wish.paths.lateMs, awaited }
  const isMissing = paths.some(path => path.outcome().state !== 'up')
  const forgotten = isMissing ? endJobs(shared) : Promise.resolve()
  const done =
    isMissing && wish.paths.lateMs > 0
      ? withDeadline(context.host.clock, limits, async signal => {
          await Promise.allSettled(paths.map(async (path, n) => await finish(path, n, signal)))
        }).catch(() => {})
      : Promise.resolve(stopPaths.abort(stopped()))
  return {
    allPaths: async () => {
      await done
      return current.map(path => path.outcome())
    },
    stop: async () => {
      stopPaths.abort(stopped())
      await done
      await Promise.allSettled([forgotten, ...current.map(async path => await path.settled), ...made.running])
    },
  }
}

const BUSY_MS = 5000
const REMOVE_MS = 30_000

/**
 * A path to another volume must not stay: multipathd would make a map of that volume, or has. One that somebody has taken for
 * a disk of his own stays, and that is told.
 */
async function dropForeign(shared: PathContext, hctl: string): Promise<void> {
  const { context, operation } = shared
  const { signal } = new AbortController()
  const drop = async (): Promise<readonly FailedStep[]> => await dropLocked(shared, hctl, signal)
  const failed = await whileAttached(context, operation, signal, drop).catch(
    (error: unknown): readonly FailedStep[] => [
      { step: 'in-use', message: error instanceof Error ? error.message : String(error) },
    ]
  )
  const reasons = failed.map(({ step, message }) => `${step}: ${message}`).join('; ')
  if (failed.length === 0) return
  operation.emit({ type: 'warning', message: `SCSI device ${hctl}, which leads to another volume, stays: ${reasons}` })
}

async function dropLocked(
  { context, operation, made, identity }: PathContext,
  hctl: string,
  signal: AbortSignal
): Promise<readonly FailedStep[]> {
  const { target, lun } = operation
  const all = await findDevices(context, await context.iscsiadm.sessions({ target }), lun)
  const devices = all.filter(device => formatHctl(device.hctl) === hctl && made.hctls.has(hctl))
  const { map } = await describeLun(context.host.files, devices, undefined)
  return await withVolume(context.host, map?.wwid, { timeoutMs: LOCK_MS, signal }, async () => {
    const now = await describeLun(context.host.files, devices, undefined)
    const isKept = now.isShared || (await isHeldElsewhere(context, operation, { ...now, wwid: map?.wwid }))
    const foreign = isKept || map?.wwid === identity.wwid ? undefined : map
    const wwidEntries = foreign === undefined || made.wwidsBefore.includes(foreign.wwid) ? [] : [foreign.wwid]
    const isMapKept = foreign === undefined && now.map !== undefined
    const dirty = await assertUnused(context, { ...operation, signal }, now, { busyMs: BUSY_MS, isMapKept })
    const leftovers = { map: foreign, devices, dirty, wwid: undefined, wwidEntries }
    const step = async <T>(_: unknown, task: () => Promise<T>): Promise<T> => await task()
    return await tearDown(context, { signal, step }, leftovers, { busyMs: REMOVE_MS, removeMs: REMOVE_MS })
  })
}

async function tryAgain(shared: PathContext, { endpoint }: PathRun, signal: AbortSignal): Promise<PathRun> {
  const { context, operation, wish } = shared
  const { target } = wish
  const alone = { ...shared, entrance: inLun(shared.entrance) }
  return await whileAttached(context, operation, signal, async () => {
    const login = await withTarget(context.host, target, { timeoutMs: LOCK_MS, signal }, async () => {
      await finishJobs(context, target, { withLogins: false, signal })
      // Since the attach somebody may have deleted or changed the record.
      await ensureRecord(shared, endpoint, signal)
      return await startLogin(alone, [endpoint], signal)
    })
    const run = startPath(alone, endpoint, login, signal)
    await run.settled
    await endJobs(shared)
    return run
  })
}

// The LUN's lock is taken already.
function inLun(entrance: Entrance): Entrance {
  return { ...entrance, withLun: async work => await work() }
}

/** Once all logins of an attach have ended nobody has to wait for them any more. */
async function endJobs({ context, made, wish }: PathContext): Promise<void> {
  const { target } = wish
  await Promise.allSettled(made.running)
  const end = async (): Promise<void> => await endLogins(context, target, made)
  await withTarget(context.host, target, { timeoutMs: LOCK_MS }, end).catch(
    () => {} // so busy a target that the jobs' own time is over before
  )
}

function stopped(): LunError<'TIMEOUT'> {
  return new LunError('TIMEOUT', 'missing paths are no longer tried', { awaited: 'late paths', timeoutMs: 0 })
}
