import type { FailedStep } from '../../core/error-details.ts'
import type { Iqn } from '../../core/iqn.ts'
import { collectFailures } from '../../flow/collect.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { finishJobs, ourSessions, sessionKey } from '../journal/jobs.ts'
import type { LunPlace } from '../journal/journal.ts'
import { journalUnreadable, type UnreadableEntry } from '../journal/store.ts'
import { withTarget } from '../locks.ts'
import type { Operation } from '../operation.ts'
import { settleDiscoveries } from './discoveries.ts'
import { giveBackRecords } from './give-back.ts'
import { idleOf, isObscure, logOut } from './logout.ts'

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

type Place = Pick<Operation, 'target' | 'signal' | 'step' | 'timeoutMs'> & Partial<Pick<Operation, 'emit'>>

const DISCOVERY_MS = 5000

/**
 * Ends what this library keeps of a target: its sessions on which no LUN lives, anybody's, and with the last session
 * the node records it made. Whoever attaches another LUN has a device on its sessions before it lets go of the target's
 * lock, or finds none and logs in again. Does nothing, and starts no process, while there is nothing to end.
 */
export async function leaveTarget(context: Context, place: Place, options: LeaveOptions): Promise<Leaving> {
  const { nodeDb } = context
  const drafts = await collectFailures([['remove drafts of records', async () => await nodeDb.removeDrafts(place)]])
  // Of whatever target. What fails is tried again by the next one, or by reconcile.
  await settleDiscoveries(context, { timeoutMs: DISCOVERY_MS, signal: place.signal }, message =>
    place.emit?.({ type: 'warning', message })
  ).catch(() => {})
  const { isChanged, failed } = await leaveReadable(context, place, options)
  return { isChanged, failed: [...drafts, ...failed] }
}

async function leaveReadable(context: Context, place: Place, options: LeaveOptions): Promise<Leaving> {
  const noted = await context.journal.tryTarget(place.target)
  if ('reason' in noted) return await leaveUnread(context, place.target, options, noted)
  if (!(await isAnythingLeft(context, place.target, options))) return { isChanged: false, failed: [] }
  return await withTarget(
    context.host,
    place.target,
    place,
    async () => await place.step('logout', async () => await leaveLocked(context, place, options))
  )
}

/** Its sessions and records may be anybody's, so they stay; that they do is told to the last who leaves. */
async function leaveUnread(
  context: Context,
  target: Iqn,
  options: LeaveOptions,
  flaw: UnreadableEntry
): Promise<Leaving> {
  const isLeft = !(await isHeld(context, target, options))
  const failed = isLeft ? [{ step: 'logout', message: journalUnreadable(flaw).message }] : []
  return { isChanged: false, failed }
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
  return (await leaveReadable(context, place, { removeMs })).failed
}

/** Somebody has another LUN of the target, or is about to. */
async function isHeld({ journal }: Context, target: Iqn, { leaving }: LeaveOptions): Promise<boolean> {
  return (await journal.luns()).some(
    ({ target: held, lun, isStale }) => held === target && !isStale && lun !== leaving?.lun
  )
}

/** Sessions of a target that are ours to end. */
async function ownSessions(
  { iscsiadm, journal }: Context,
  target: Iqn,
  { adopted = [] }: LeaveOptions
): Promise<readonly IscsiSession[]> {
  const sessions = await iscsiadm.sessions({ target })
  const ours = ourSessions(sessions, await journal.target(target))
  return sessions.filter(session => ours.includes(session) || adopted.includes(session.sid))
}

async function idleSessions(context: Context, target: Iqn, options: LeaveOptions): Promise<readonly IscsiSession[]> {
  return await idleOf(context.scsi, await ownSessions(context, target, options))
}

async function leaveLocked(context: Context, place: Place, options: LeaveOptions): Promise<Leaving> {
  const { iscsiadm, journal } = context
  const { target, signal } = place
  const isWanted = await isHeld(context, target, options)
  if (!isWanted) await finishJobs(context, target, { withLogins: true, signal })
  const idle = await idleSessions(context, target, options)
  const failed = await collectFailures([
    ['logout', async () => await logOut(context, place, idle, options)],
    ['logout', async () => (isWanted ? undefined : await assertClear(context, target, options))],
  ])
  if (isWanted) return { isChanged: idle.length > 0, failed }
  const sessions = await iscsiadm.sessions({ target })
  const given = await giveBackRecords(context, place, sessions)
  if (sessions.length === 0 && given.failed.length === 0) await journal.forgetTarget(target)
  // Whoever logs in there later is not us.
  else await journal.strikeTarget(target, { logins: (await journal.target(target)).logins.filter(isOver(sessions)) })
  return { isChanged: idle.length > 0 || given.isChanged, failed: [...failed, ...given.failed] }
}

/** A session of ours of which nobody can say whether a LUN lives on it is neither ended nor forgotten. */
async function assertClear(context: Context, target: Iqn, options: LeaveOptions): Promise<void> {
  const obscure = (await ownSessions(context, target, options)).filter(isObscure)
  if (obscure.length === 0) return
  const sids = obscure.map(({ sid }) => sid).join(', ')
  throw new Error(`sysfs does not tell the SCSI host and target of session ${sids}, so its devices are not known`)
}

/** Whether an endpoint has no session any more. */
function isOver(sessions: readonly IscsiSession[]): (endpoint: string) => boolean {
  const keys: readonly (string | undefined)[] = sessions.map(sessionKey)
  return endpoint => !keys.includes(endpoint) && !keys.includes(undefined)
}
