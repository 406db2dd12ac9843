import { isLunError, LunError } from '../../core/error.ts'
import { formatPortal } from '../../core/portal.ts'
import { until } from '../../flow/until.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { jobsFor } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'
import { liveSession } from './endpoints.ts'
import type { Made } from './made.ts'

/** Time iscsiadm takes beyond the login itself, on a slow host. */
const MARGIN_MS = 15_000

/** A login on its way. */
export interface Login {
  /** The endpoint's session as soon as it works; rejects when the login has failed. */
  session(endpoint: Endpoint, signal: AbortSignal): Promise<IscsiSession>
}

/**
 * Starts the login of all endpoints and returns at once. One call does for all where the target has no other record:
 * iscsiadm logs in to its portals in parallel. The call ends with its slowest portal, so sysfs is watched meanwhile.
 */
export async function startLogin(
  context: Context,
  operation: Pick<Operation, 'target' | 'signal'>,
  wish: AttachWish,
  endpoints: readonly Endpoint[],
  made: Made
): Promise<Login> {
  const { iscsiadm, nodeDb, journal, host } = context
  const { target } = wish
  const before = await iscsiadm.sessions({ target })
  const offline = endpoints.filter(endpoint => liveSession(before, endpoint) === undefined)
  if (offline.length > 0) {
    made.logins.push(...offline)
    const jobs = await jobsFor(context, 'login', offline.map(endpointKey), wish.loginTimeoutMs)
    await journal.noteTarget(target, { logins: offline.map(endpointKey), jobs })
  }
  const { records } = await nodeDb.recordsOf(target)
  const isWhole = offline.length > 1 && offline.length === records.length
  // Not given the signal: a killed iscsiadm leaves iscsid logging in, and then nobody knows when that ends.
  const timeoutMs = 2 * wish.loginTimeoutMs + MARGIN_MS
  const logIn = async (endpoint?: Endpoint): Promise<unknown> =>
    await iscsiadm.login({ target, ...endpoint }, { timeoutMs }).then(
      () => undefined,
      (error: unknown) => error
    )
  operation.signal.throwIfAborted()
  const whole = isWhole ? logIn() : undefined
  const calls = new Map(offline.map(endpoint => [endpointKey(endpoint), whole ?? logIn(endpoint)]))
  made.running.push(...calls.values())
  const sessions = shareLooks(async () => await iscsiadm.sessions({ target }))

  return {
    session: async (endpoint, signal) => {
      let ended: { readonly error: unknown } | undefined
      void calls.get(endpointKey(endpoint))?.then(error => {
        ended = { error }
      })
      const look = async (): Promise<IscsiSession | undefined> => {
        const wasEnded = ended // read before sysfs, so that a session seen after the end still counts
        const session = liveSession(await sessions(), endpoint)
        if (session === undefined && wasEnded !== undefined) throw loginError(wish, endpoint, wasEnded.error)
        return session
      }
      const awaited = `a session with ${target} at ${formatPortal(endpoint.portal)}`
      return await until(host.clock, look, { awaited, timeoutMs, everyMs: 25, signal })
    },
  }
}

// Endpoints that look at the same time share one look.
function shareLooks<T>(look: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | undefined
  return async () => {
    current ??= look().finally(() => {
      current = undefined
    })
    return await current
  }
}

// A call for all portals fails with one code and names none; say which portal this is about.
function loginError({ target, chap }: AttachWish, { portal }: Endpoint, error: unknown): unknown {
  const at = formatPortal(portal)
  if (isLunError(error, 'ISCSI_AUTH_FAILED')) {
    return new LunError('ISCSI_AUTH_FAILED', `${at} refused the credentials for ${target}`, { target, portal: at })
  }
  if (isLunError(error, 'ISCSI_LOGIN_REJECTED')) {
    const { exitCode } = error.details
    // iscsiadm has one exit code for both.
    const doubt = chap?.mutual === undefined ? '' : ', or did not prove itself by mutual CHAP'
    const message = `${at} refused the login to ${target}${doubt}`
    return new LunError('ISCSI_LOGIN_REJECTED', message, { target, portal: at, exitCode })
  }
  if (error === undefined || isLunError(error, 'ISCSI_PORTAL_UNREACHABLE')) {
    const message = `${at} did not complete the login to ${target}`
    return new LunError('ISCSI_PORTAL_UNREACHABLE', message, { target, portal: at })
  }
  return error
}
