import type { Scsi } from '../../block/scsi.ts'
import { hasCode, LunError } from '../../core/error.ts'
import type { Iqn } from '../../core/iqn.ts'
import { retry } from '../../flow/retry.ts'
import { until } from '../../flow/until.ts'
import { isIscsidListening } from '../../iscsi/iscsid.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { jobsFor, ourSessions, sessionKey } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'

/** node.conn[0].timeo.logout_timeout */
const LOGOUT_MS = 15_000
/** How long a logout is asked for again: iscsid refuses while it starts, and while it logs in again. */
const ASK_MS = 10_000
const FIRST_PAUSE_MS = 250

/**
 * Those on which no LUN lives. Of one whose numbers are unknown nobody can say; an unbound one keeps its number until
 * its devices are gone.
 */
export async function idleOf(scsi: Scsi, sessions: readonly IscsiSession[]): Promise<readonly IscsiSession[]> {
  const devices = await Promise.all(sessions.map(async session => await scsi.devices(session)))
  return sessions.filter((session, n) => devices[n]?.length === 0 && !isObscure(session))
}

/** Sysfs does not tell where its devices would be. */
export function isObscure({ state, host, targetId }: IscsiSession): boolean {
  return state !== 'unbound' && (host === undefined || targetId === undefined)
}

/**
 * Ends sessions, and resolves when the kernel has them no more. The caller holds the target's lock.
 *
 * @throws {@link LunError} `ISCSID_NOT_RUNNING`, `ISCSI_LOGOUT_FAILED`, `ISCSI_FAILED`, `TIMEOUT`
 */
export async function logOut(
  context: Context,
  { signal, target }: Pick<Operation, 'target' | 'signal'>,
  sessions: readonly IscsiSession[],
  { removeMs }: { readonly removeMs: number }
): Promise<void> {
  const { iscsiadm, host, journal } = context
  if (sessions.length === 0) return
  const keys = sessions.map(sessionKey).filter(key => key !== undefined)
  const jobs = await jobsFor(context, 'logout', keys, LOGOUT_MS)
  await journal.noteTarget(target, { jobs })
  const sids = sessions.map(({ sid }) => sid)
  // iscsiadm may answer "nothing found" although sessions live on; only sysfs tells.
  const left = async (): Promise<readonly number[]> => {
    const isThere = await Promise.all(sids.map(async sid => await iscsiadm.hasSession(sid)))
    return sids.filter((_, n) => isThere[n])
  }
  let isListening = true
  const attempt = async (): Promise<void> => {
    const ends = (await left()).map(async sid => await endSession(context, { sid, target, signal }))
    const refused = (await Promise.allSettled(ends)).find(end => end.status === 'rejected')
    const [sid] = refused === undefined ? [] : await left()
    if (refused === undefined || sid === undefined) return
    isListening = await isIscsidListening(host.files)
    if (isListening) throw refused.reason
    const message = `session ${sid} of ${target} stays, since iscsid does not run`
    throw new LunError('ISCSI_LOGOUT_FAILED', message, { target, sid }, { cause: refused.reason })
  }
  // What it leaves is asked for by number, and says why.
  if (await isAllOurs(context, target, sids)) await iscsiadm.logout({ target }, { signal }).catch(() => {})
  await retry(host.clock, attempt, {
    isPassing: error => isListening && isPassing(error),
    withinMs: Math.min(ASK_MS, removeMs / 2),
    firstPauseMs: FIRST_PAUSE_MS,
    signal,
  })
  await until(host.clock, async () => (await left()).length === 0, {
    awaited: `sessions ${sids.join(', ')} of ${target} to end`,
    timeoutMs: removeMs,
    signal,
  })
  await journal.strikeTarget(target, { logins: keys, jobs: Object.keys(jobs) })
}

const isPassing = hasCode('ISCSI_FAILED', 'ISCSI_LOGOUT_FAILED', 'ISCSID_NOT_RUNNING')

async function endSession(
  { iscsiadm }: Context,
  { sid, target, signal }: Pick<Operation, 'target' | 'signal'> & { readonly sid: number }
): Promise<void> {
  if ((await iscsiadm.logoutSession(sid, { signal })) === 'logged-out' || !(await iscsiadm.hasSession(sid))) return
  const message = `session ${sid} of ${target} is still there, though iscsiadm knows none`
  throw new LunError('ISCSI_LOGOUT_FAILED', message, { target, sid })
}

/** One command for a whole target would end what somebody else has there. */
async function isAllOurs({ iscsiadm, journal }: Context, target: Iqn, sids: readonly number[]): Promise<boolean> {
  const entry = await journal.target(target)
  const present = await iscsiadm.sessions({ target })
  const ours = ourSessions(present, entry).filter(({ sid }) => sids.includes(sid))
  return ours.length > 1 && ours.length === present.length
}
