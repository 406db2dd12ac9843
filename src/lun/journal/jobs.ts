import type { Iqn } from '../../core/iqn.ts'
import type { OperationOptions } from '../../core/options.ts'
import { until } from '../../flow/until.ts'
import type { Files } from '../../host/files.ts'
import type { Host } from '../../host/host.ts'
import { isAlive, parseProcessId } from '../../host/process-id.ts'
import type { Iscsiadm } from '../../iscsi/iscsiadm.ts'
import type { NodeDb } from '../../iscsi/node-db.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import { endpointKey } from '../request.ts'
import type { TargetEntry } from './entries.ts'
import type { Journal } from './journal.ts'
import { uptimeMs } from './uptime.ts'

/** What open-iscsi is asked by, and where it is noted. */
export interface JobContext {
  readonly host: Host
  readonly iscsiadm: Iscsiadm
  readonly nodeDb: NodeDb
  readonly journal: Journal
}

type Kind = 'record' | 'login' | 'logout'
type Jobs = TargetEntry['jobs']

/** Time open-iscsi may take beyond the work itself, on a slow host. */
const MARGIN_MS = 5000

/** How many jobs this process has made: two of its attaches may tell open-iscsi the same at the same time. */
let made = 0

/**
 * Jobs for the journal: what open-iscsi is about to be told, and when it must be done with it. Their names are nobody
 * else's, so that only who has made a job strikes it before its outcome is there or its time is over.
 */
export async function jobsFor(
  { host, journal }: JobContext,
  kind: Kind,
  things: readonly string[],
  timeoutMs: number
): Promise<Jobs> {
  const job = await journal.job((await uptimeMs(host.files)) + timeoutMs + MARGIN_MS)
  made++
  const maker = `${job.process.replaceAll(' ', '.')}.${made}`
  return Object.fromEntries(things.map(thing => [`${kind} ${thing} #${maker}`, job]))
}

// Before jobs had makers, their names ended with the thing.
const NAME = /^(\w+) (.+?)(?: #[\d.]+)?$/

/** Logins to an endpoint that others than the maker of `ours` have under way, and whose time is not over. */
export async function otherLogins(
  { host, journal }: Pick<JobContext, 'host' | 'journal'>,
  target: Iqn,
  endpoint: string,
  ours: readonly string[]
): Promise<readonly string[]> {
  const nowMs = await uptimeMs(host.files)
  return Object.entries((await journal.target(target)).jobs).flatMap(([name, { untilMs }]) => {
    const [, kind, thing] = NAME.exec(name) ?? []
    return kind === 'login' && thing === endpoint && nowMs < untilMs && !ours.includes(name) ? [name] : []
  })
}

/** Whether something is left that {@link finishJobs} would have to do. */
export async function hasJobs({ journal }: Pick<JobContext, 'journal'>, target: Iqn): Promise<boolean> {
  return Object.keys((await journal.target(target)).jobs).length > 0
}

/**
 * Waits for what open-iscsi was told by a process that died: it goes on by itself, and a session or record that comes or
 * goes in the middle of the next operation would be nobody's. A job whose outcome is there, or whose time is over, is
 * done. The caller holds the target's lock.
 *
 * A login that somebody still waits for, a portal that is dead most likely, is only waited for `withLogins`.
 */
export async function finishJobs(
  context: JobContext,
  target: Iqn,
  { withLogins, signal }: OperationOptions & { readonly withLogins: boolean }
): Promise<void> {
  const { journal, host } = context
  const { jobs } = await journal.target(target)
  const waiting = withLogins ? jobs : await withoutLiveLogins(host.files, jobs)
  const names = Object.keys(waiting)
  if (names.length === 0) return
  const awaited = `what open-iscsi was told about ${target} by a process that is gone`
  const isDone = async (): Promise<boolean> => await areDone(context, target, waiting)
  await until(host.clock, isDone, { awaited, timeoutMs: Number.MAX_SAFE_INTEGER, signal })
  await journal.strikeTarget(target, { jobs: names })
}

async function withoutLiveLogins(files: Files, jobs: Jobs): Promise<Jobs> {
  const kept = await Promise.all(
    Object.entries(jobs).map(async ([name, job]) => {
      const process = parseProcessId(job.process)
      const isAwaited = process !== undefined && name.startsWith('login ') && (await isAlive(files, process))
      return isAwaited ? [] : [[name, job] as const]
    })
  )
  return Object.fromEntries(kept.flat())
}

async function areDone({ iscsiadm, nodeDb, host }: JobContext, target: Iqn, jobs: Jobs): Promise<boolean> {
  const sessions = await iscsiadm.sessions({ target })
  const present: Readonly<Record<Kind, readonly (string | undefined)[]>> = {
    record: (await nodeDb.recordsOf(target)).records.map(endpointKey),
    login: sessions.filter(({ state }) => state === 'logged-in').map(sessionKey),
    logout: sessions.map(sessionKey),
  }
  const nowMs = await uptimeMs(host.files)
  return Object.entries(jobs).every(([name, { untilMs }]) => {
    const [, kind = '', thing = ''] = NAME.exec(name) ?? []
    return nowMs >= untilMs || (isKind(kind) && present[kind].includes(thing) !== (kind === 'logout'))
  })
}

function isKind(word: string): word is Kind {
  return ['record', 'login', 'logout'].includes(word)
}

/** The endpoint a session belongs to, as the journal has it; undefined while sysfs does not tell. */
export function sessionKey({ persistentPortal, iface }: IscsiSession): string | undefined {
  return persistentPortal === undefined ? undefined : endpointKey({ portal: persistentPortal, iface })
}

/** Sessions to endpoints that the journal says are ours. */
export function ourSessions(
  sessions: readonly IscsiSession[],
  { logins }: Pick<TargetEntry, 'logins'>
): readonly IscsiSession[] {
  return sessions.filter(session => logins.some(login => login === sessionKey(session)))
}
