import { type AnyLunError, isLunError, LunError } from '../../core/error.ts'
import type { FailedStep } from '../../core/error-details.ts'
import type { PathOutcome } from '../../core/path-outcome.ts'
import { formatPortal } from '../../core/portal.ts'
import { until } from '../../flow/until.ts'
import type { Endpoint } from '../request.ts'
import type { Login } from './login.ts'
import { bringUp, findDevice, type PathContext } from './path.ts'

/** One path on its way, and what became of it. */
export interface PathRun {
  readonly endpoint: Endpoint
  outcome(): PathOutcome
  /** The session is there, so the path is a matter of local work. */
  hasSession(): boolean
  /** Resolves, never rejects, when the LUN lives on the path's session, or the path has failed. */
  readonly pinned: Promise<void>
  /** Resolves, never rejects, when the path is up or has failed. */
  readonly settled: Promise<void>
}

/** Starts one path: waits for its session, then brings it up. */
export function startPath(shared: PathContext, endpoint: Endpoint, login: Login, signal: AbortSignal): PathRun {
  const { operation } = shared
  let hasSession = false
  let outcome: PathOutcome = { portal: formatPortal(endpoint.portal), iface: endpoint.iface, state: 'pending' }
  const progress = (news: Partial<PathOutcome>): void => {
    outcome = { ...outcome, ...news }
    operation.emit({ type: 'path', path: outcome })
  }
  let pin = (): void => {}
  const pinned = new Promise<void>(resolve => {
    pin = resolve
  })
  const { entrance } = shared
  const work = async (): Promise<void> => {
    try {
      const session = await login.session(endpoint, signal)
      hasSession = true
      await entrance.withLun(async () => {
        const device = await entrance.withTarget(async () => await findDevice(shared, session, signal))
        pin()
        await bringUp(shared, endpoint, device, progress, signal)
      })
      progress({ state: 'up', error: undefined })
    } catch (error) {
      progress({ state: 'failed', error: error instanceof Error ? error : new Error(String(error)) })
    } finally {
      pin()
    }
  }
  return { endpoint, outcome: () => outcome, hasSession: () => hasSession, pinned, settled: work() }
}

/** How long local work on a path may lag behind the first path that is up. */
const LOCAL_WORK_MS = 15_000
/** The part of an operation's time that is for what comes after its paths; no path beyond `min` may cost it. */
const PART_AFTER = 0.25
const LOOK_MS = 50

/**
 * Waits until the paths are as the request wants them: `wanted` of them up; or at least `min`, and none left that
 * is worth waiting for: one whose portal has not answered within `graceMs` of the first path is not, nor is any after that when
 * three quarters of the operation's time are over.
 *
 * @throws {@link LunError} the paths' own error where they agree, else `NO_PATHS`; `LUN_MISMATCH` from any path
 */
export async function waitForPaths(
  { context, operation, wish }: PathContext,
  paths: readonly PathRun[]
): Promise<void> {
  const { clock } = context.host
  const { min, graceMs, wanted = paths.length } = wish.paths
  let firstUpMs: number | undefined
  const isEnough = async (): Promise<boolean> => {
    const outcomes = paths.map(path => path.outcome())
    const foreign = outcomes.find(({ error }) => isLunError(error, 'LUN_MISMATCH'))
    if (foreign?.error !== undefined) throw foreign.error
    const up = outcomes.filter(({ state }) => state === 'up').length
    const pending = paths.filter(path => path.outcome().state === 'pending')
    if (up >= Math.min(wanted, paths.length)) return true
    if (up + pending.length < min) throw noPaths(wish, outcomes)
    if (up < min) return false
    firstUpMs ??= clock.now()
    const laggingMs = clock.now() - firstUpMs
    const leftMs = operation.deadlineMs - clock.now()
    const afterMs = PART_AFTER * operation.timeoutMs
    if (leftMs <= afterMs && (laggingMs >= graceMs || leftMs <= afterMs / 2)) return true
    return !pending.some(path => laggingMs < (path.hasSession() ? Math.max(graceMs, LOCAL_WORK_MS) : graceMs))
  }
  await until(clock, isEnough, {
    awaited: 'enough paths',
    timeoutMs: Number.MAX_SAFE_INTEGER, // the operation's own deadline arrives by its signal
    everyMs: LOOK_MS,
    signal: operation.signal,
  })
}

function noPaths({ target, lun }: PathContext['wish'], outcomes: readonly PathOutcome[]): AnyLunError | Error {
  const failed = outcomes.flatMap(({ portal, iface, error }) => (error === undefined ? [] : [{ portal, iface, error }]))
  const codes = new Set(failed.map(({ error }) => (isLunError(error) ? error.code : error.message)))
  const isAll = failed.length === outcomes.length
  const [first] = failed
  if (isAll && codes.size === 1 && first !== undefined) return first.error
  const failures: FailedStep[] = failed.map(({ portal, iface, error }) => ({
    step: endpointLabel(portal, iface),
    message: error.message,
  }))
  const why = failures.map(({ step, message }) => `${step}: ${message}`).join('; ')
  return new LunError('NO_PATHS', `too few paths to LUN ${lun} of ${target}: ${why}`, { target, lun, failures })
}

function endpointLabel(portal: string, iface: string): string {
  return iface === 'default' ? portal : `${portal} ${iface}`
}
