import type { FailedStep } from '../../core/error-details.ts'
import type { Iqn } from '../../core/iqn.ts'
import { collectFailures } from '../../flow/collect.ts'
import { until } from '../../flow/until.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { finishJobs, jobName, jobsFor, sessionKey } from '../journal/jobs.ts'
import type { LunPlace } from '../journal/journal.ts'
import { withTarget } from '../locks.ts'
import type { Operation } from '../operation.ts'
import { endpointKey } from '../request.ts'

/** node.conn[0].timeo.logout_timeout */
const LOGOUT_MS = 15_000

/** What leaving a target did. */
export interface Leaving {
  readonly isChanged: boolean
  readonly failed: readonly FailedStep[]
}

export interface LeaveOptions {
  readonly removeMs: number
  /** Sessions to end though this library did not log them in. */
  readonly adopted?: readonly number[]
  /**
   * A LUN that counts no more, though it is noted still: until its target is left, so that whoever releases its owner
   * after a failure or a crash finds it.
   */
  readonly leaving?: LunPlace
}

type Place = Pick<Operation, 'target' | 'signal' | 'step' | 'timeoutMs'>

/**
 * Ends what this library keeps of a target: its sessions on which no LUN lives, anybody's, and with the last session
 * the node records it made. Whoever attaches another LUN has a device on its sessions before it lets go of the target's
 * lock, or finds none and logs in again. Does nothing, and starts no process, while there is nothing to end.
 */
export async function leaveTarget(context: Context, place: Place, options: LeaveOptions): Promise<Leaving> {
  if (!(await isAnythingLeft(context, place.target, options))) return { isChanged: false, failed: [] }
  return await withTarget(
    context.host,
    place.target,
    place,
    async () => await place.step('logout', async () => await leaveLocked(context, place, options))
  )
}

async function isAnythingLeft(context: Context, target: Iqn, options: LeaveOptions): Promise<boolean> {
  if ((await idleSessions(context, target, options)).length > 0) return true
  return (await context.journal.hasTarget(target)) && !(await isHeld(context, target, options))
}

/**
 * Leaves a target once more, now that the LUN is noted no longer: two who left it at the same time saw each other's LUN,
 * and neither did what is for the last one to do.
 *
 * @throws {@link LunError} what {@link leaveTarget} throws
 */
export async function leaveAfterOthers(
  context: Context,
  place: Place,
  removeMs: number
): Promise<readonly FailedStep[]> {
  return (await leaveTarget(context, place, { removeMs })).failed
}

/** Somebody has another LUN of the target, or is about to. */
async function isHeld({ journal }: Context, target: Iqn, { leaving }: LeaveOptions): Promise<boolean> {
  return (await journal.luns()).some(
    ({ target: held, lun, isStale }) => held === target && !isStale && lun !== leaving?.lun
  )
}

async function idleSessions(
  context: Context,
  target: Iqn,
  { adopted = [] }: LeaveOptions
): Promise<readonly IscsiSession[]> {
  const { iscsiadm, scsi, journal } = context
  const { logins } = await journal.target(target)
  const sessions = await iscsiadm.sessions({ target })
  const ours = sessions.filter(session => logins.includes(sessionKey(session)) || adopted.includes(session.sid))
  const devices = await Promise.all(ours.map(async session => await scsi.devices(session)))
  return ours.filter((_, n) => devices[n]?.length === 0)
}

async function leaveLocked(context: Context, place: Place, options: LeaveOptions): Promise<Leaving> {
  const { iscsiadm, journal } = context
  const { target, signal } = place
  if (!(await isHeld(context, target, options))) await finishJobs(context, target, { withLogins: true, signal })
  const idle = await idleSessions(context, target, options)
  const failed = await collectFailures([['logout', async () => await logOut(context, place, idle, options)]])
  if ((await iscsiadm.sessions({ target })).length > 0) return { isChanged: idle.length > 0, failed }
  const removed = await removeRecords(context, place)
  if (removed.failed.length === 0) await journal.forgetTarget(target)
  return { isChanged: idle.length > 0 || removed.isChanged, failed: [...failed, ...removed.failed] }
}

async function logOut(
  context: Context,
  { signal, target }: Place,
  idle: readonly IscsiSession[],
  { removeMs }: LeaveOptions
): Promise<void> {
  const { iscsiadm, host, journal } = context
  if (idle.length === 0) return
  const keys = idle.map(sessionKey)
  await journal.noteTarget(target, { jobs: await jobsFor(context, 'logout', keys, LOGOUT_MS) })
  const sids = idle.map(({ sid }) => sid)
  const left = async (): Promise<readonly number[]> =>
    (await iscsiadm.sessions({ target })).map(({ sid }) => sid).filter(sid => sids.includes(sid))
  const present = await iscsiadm.sessions({ target })
  const isWhole = idle.length > 1 && present.every(session => sids.includes(session.sid))
  if (isWhole) await iscsiadm.logout({ target }, { signal })
  // iscsiadm may answer "nothing found" although sessions live on; only sysfs tells.
  await Promise.all((await left()).map(async sid => await iscsiadm.logoutSession(sid, { signal })))
  await until(host.clock, async () => (await left()).length === 0, {
    awaited: `sessions ${sids.join(', ')} of ${target} to end`,
    timeoutMs: removeMs,
    signal,
  })
  await journal.strikeTarget(target, { logins: keys, jobs: keys.map(key => jobName('logout', key)) })
}

async function removeRecords({ nodeDb, journal }: Context, { target, signal }: Place): Promise<Leaving> {
  const { records: ours } = await journal.target(target)
  if (ours.length === 0) return { isChanged: false, failed: [] }
  const { records } = await nodeDb.recordsOf(target)
  const paths = records.filter(record => ours.includes(endpointKey(record))).map(({ path }) => path)
  const steps = paths.map(
    path => [`delete node record ${path}`, async () => await nodeDb.remove(path, { signal })] as const
  )
  return { isChanged: paths.length > 0, failed: await collectFailures(steps) }
}
