import { formatPortal } from '../../core/portal.ts'
import { until } from '../../flow/until.ts'
import type { UsableSession } from '../../iscsi/session.ts'
import { logOut } from '../detaching/logout.ts'
import type { TargetEntry } from '../journal/entries.ts'
import { jobsFor, otherLogins, ourSessions } from '../journal/jobs.ts'
import { type Endpoint, endpointKey } from '../request.ts'
import { liveSession, sessionsAt } from './endpoints.ts'
import { loginError, unusable } from './login-error.ts'
import type { Made } from './made.ts'
import type { PathContext } from './path.ts'
import { areAll, ensureRecord } from './records.ts'

/** Time iscsiadm takes beyond the login itself, on a slow host. */
const MARGIN_MS = 15_000
const LOGOUT_MS = 30_000
const LONGEST_PAUSE_MS = 3000

/** A login on its way. */
export interface Login {
  /** The endpoint's session as soon as it works; rejects when the login has failed. */
  session(endpoint: Endpoint, signal: AbortSignal): Promise<UsableSession>
}

type LoginContext = Pick<PathContext, 'context' | 'wish' | 'made' | 'entrance'>

/** What became of a command. */
type Ending = { readonly answer: 'logged-in' | 'already' } | { readonly error: unknown }

/** A command that was given for an endpoint, perhaps for others too. */
interface Call {
  readonly begunMs: number
  /** Undefined while it runs. */
  readonly ending: () => Ending | undefined
}

/**
 * Starts the login of all endpoints and returns at once. One call does for all where the target has no other record:
 * iscsiadm logs in to its portals in parallel. The call ends with its slowest portal, so sysfs is watched meanwhile.
 * The caller holds the target's lock.
 */
export async function startLogin(
  shared: LoginContext,
  endpoints: readonly Endpoint[],
  signal: AbortSignal
): Promise<Login> {
  const { context, wish, entrance } = shared
  const { iscsiadm, host } = context
  const { target } = wish
  const offline = await findAbsent(shared, endpoints, signal)
  const calls = await callAll(shared, offline, signal)
  const sessions = shareLooks(async () => await iscsiadm.sessions({ target }))

  return {
    session: async (endpoint, stop) => {
      const key = endpointKey(endpoint)
      const begunMs = host.clock.now()
      let hasTriedAgain = false
      const tryAgain = async (): Promise<void> =>
        await entrance.withLun(async () => {
          await entrance.withTarget(async () => {
            hasTriedAgain = true
            const absent = sessionsAt(await iscsiadm.sessions({ target }), endpoint).length === 0 ? [endpoint] : []
            await ensureRecord(shared, endpoint, stop)
            for (const [name, call] of await callAll(shared, absent, stop)) calls.set(name, call)
          })
        })
      const look = async (): Promise<UsableSession | undefined> => {
        const call = calls.get(key)
        const ending = call?.ending() // read before sysfs, so that a session seen after the end still counts
        const seen = await sessions()
        const live = liveSession(seen, endpoint)
        if (live !== undefined) return live
        if (call !== undefined && ending === undefined) return undefined
        if (ending !== undefined && 'error' in ending) throw loginError(wish, endpoint, ending.error)
        // From here on it is somebody else's: iscsid has such a session, or makes one, and so makes none for us.
        const [lost] = sessionsAt(seen, endpoint)
        const isOver = lost === undefined && (ending === undefined || ending.answer === 'logged-in')
        if (!isOver && (await isOnItsWay(shared, key, call?.begunMs ?? begunMs))) return undefined
        if (lost !== undefined) throw unusable(wish, endpoint, lost)
        if (hasTriedAgain || !endpoints.includes(endpoint)) throw loginError(wish, endpoint, undefined)
        await tryAgain()
        return undefined
      }
      const awaited = `a session with ${target} at ${formatPortal(endpoint.portal)}`
      const pauses = { everyMs: 25, longestMs: LONGEST_PAUSE_MS }
      return await until(host.clock, look, { awaited, timeoutMs: Number.MAX_SAFE_INTEGER, ...pauses, signal: stop })
    },
  }
}

/** Endpoints without a session in whatever state. One that is ours and unbound for good is ended first. */
async function findAbsent(
  { context, wish }: LoginContext,
  endpoints: readonly Endpoint[],
  signal: AbortSignal
): Promise<readonly Endpoint[]> {
  const { iscsiadm, journal } = context
  const { target } = wish
  const dead = ourSessions(await iscsiadm.sessions({ target }), await journal.target(target)).filter(
    session => session.state === 'unbound' && endpoints.some(endpoint => sessionsAt([session], endpoint).length > 0)
  )
  // Where that fails, its path says that it is there.
  await logOut(context, { target, signal }, dead, { removeMs: LOGOUT_MS }).catch(() => signal.throwIfAborted())
  const sessions = await iscsiadm.sessions({ target })
  return endpoints.filter(endpoint => sessionsAt(sessions, endpoint).length === 0)
}

/** Notes logins as ours and begins them. What is there already, in whatever state, somebody else has made. */
async function callAll(
  { context, wish, made }: LoginContext,
  absent: readonly Endpoint[],
  signal: AbortSignal
): Promise<Map<string, Call>> {
  const { iscsiadm, nodeDb, journal, host } = context
  const { target } = wish
  if (absent.length === 0) return new Map()
  const keys = absent.map(endpointKey)
  const jobs = await jobsFor(context, 'login', keys, wish.loginTimeoutMs)
  const before = await journal.target(target)
  const isBeside =
    (await Promise.all(keys.map(async key => await otherLogins(context, target, key, [])))).flat().length > 0
  made.logins.push(...absent)
  made.jobs.push(...Object.keys(jobs))
  await journal.noteTarget(target, { logins: keys, jobs })
  const isAll = areAll(await nodeDb.recordsOf(target), absent)
  signal.throwIfAborted()
  // Its one answer would not tell a portal that fails from one where somebody else logs in.
  const isWhole = absent.length > 1 && isAll && !isBeside
  // Not given the signal: a killed iscsiadm leaves iscsid logging in, and then nobody knows when that ends.
  const timeoutMs = 2 * wish.loginTimeoutMs + MARGIN_MS
  const call = (endpoint?: Endpoint): Call => {
    let ending: Ending | undefined
    const begunMs = host.clock.now()
    const work = iscsiadm.login({ target, ...endpoint }, { timeoutMs }).then(
      answer => {
        ending = { answer }
        if (endpoint !== undefined) judge(made, endpointKey(endpoint), answer, before)
      },
      (error: unknown) => {
        ending = { error }
      }
    )
    made.running.push(work)
    return { begunMs, ending: () => ending }
  }
  const whole = isWhole ? call() : undefined
  return new Map(absent.map(endpoint => [endpointKey(endpoint), whole ?? call(endpoint)]))
}

// Whose login it is that iscsid has already, the journal says: ours was noted before it began.
function judge({ strangers }: Made, key: string, answer: 'logged-in' | 'already', before: TargetEntry): void {
  if (answer === 'logged-in') strangers.delete(key)
  else if (!before.logins.includes(key)) strangers.add(key)
}

/** Somebody else's login may take as long as the journal says, and one that is not in it as long as ours. */
async function isOnItsWay({ context, wish, made }: LoginContext, key: string, sinceMs: number): Promise<boolean> {
  if (context.host.clock.now() - sinceMs < wish.loginTimeoutMs) return true
  return (await otherLogins(context, wish.target, key, made.jobs)).length > 0
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
