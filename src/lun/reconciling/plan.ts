import type { Iqn } from '../../core/iqn.ts'
import { HOLDER, isAbandoned } from '../../flow/link-lock.ts'
import { isOwnFolder, type OwnFolderOptions } from '../../host/own-path.ts'
import { isAlive, parseProcessId } from '../../host/process-id.ts'
import { DB_LOCK, DB_LOCK_FOLDER, DB_LOCK_FOREIGN } from '../../iscsi/db-lock.ts'
import type { Context } from '../context.ts'
import { idleOf } from '../detaching/logout.ts'
import type { Owner } from '../journal/entries.ts'
import { isExpired } from '../journal/expiry.ts'
import { ourSessions, sessionKey } from '../journal/jobs.ts'
import type { JournalledLun, LunPlace } from '../journal/journal.ts'
import { domainOf } from '../journal/owner.ts'
import { uptimeMs } from '../journal/uptime.ts'
import { FORMER_LUN_LOCKS, isAtWork, LUN_LOCKS, VOLUME_LOCKS } from '../locks.ts'
import type { ReconcileAction } from './action.ts'
import { planDiscoveries, planFormerNotes, planRecordDrafts } from './plan-records.ts'

/** What has to be done so that nothing is left of processes and guests that are gone. */
export async function planActions(context: Context): Promise<readonly ReconcileAction[]> {
  const luns = await context.journal.luns()
  const releases = await Promise.all(luns.map(async lun => await planLun(context, lun)))
  return [
    ...releases.flat(),
    ...(await planDrafts(context)),
    ...(await planDiscoveries(context)),
    ...(await planTargets(context, luns)),
    ...(await planLocks(context)),
    ...(await planRecordDrafts(context)),
  ]
}

/** Lets go of LUNs for holds whose time is over, whoever else is gone. */
export async function planExpired(context: Context): Promise<readonly ReconcileAction[]> {
  const nowMs = await uptimeMs(context.host.files)
  const luns = (await context.journal.luns()).filter(({ isStale }) => !isStale)
  const releases = await Promise.all(
    luns.map(async lun => {
      if (lun.entry === undefined) return []
      const expired = [...lun.entry.owners].filter(([, owner]) => isExpired(owner, nowMs))
      const entry = { ...lun.entry, owners: new Map(expired) }
      return expired.length === 0 ? [] : await planLun(context, { ...lun, entry })
    })
  )
  return releases.flat()
}

async function planLun(
  context: Context,
  { target, lun, entry, isStale }: JournalledLun
): Promise<readonly ReconcileAction[]> {
  if (entry === undefined) return []
  if (isStale) return [{ kind: 'forget', target, lun, why: 'the host was booted since it was attached' }]
  const owners = [...entry.owners]
  const isAtIt = await isAtWork(context.host, { target, lun })
  const why = 'a detach by force that was not completed has its map fail I/O while no path works'
  const requeue =
    entry.unqueued === undefined || isAtIt ? [] : [{ kind: 'requeue', target, lun, why } satisfies ReconcileAction]
  if (owners.length === 0) return [{ kind: 'release', target, lun, owner: 'nobody', why: 'its entry names no owner' }]
  const found = await Promise.all(
    owners.map(async ([owner, state]): Promise<readonly ReconcileAction[]> => {
      const gone = await whyGone(context, owner, state, isAtIt)
      return gone === undefined ? [] : [{ kind: 'release', target, lun, owner, why: gone }]
    })
  )
  return [...requeue, ...found.flat()]
}

/**
 * Why an owner does not hold its LUN any more; undefined for one who does, or is about to: whoever is at it has the LUN's
 * lock, and a process may give up and live on.
 */
async function whyGone(
  { xenstore, host }: Context,
  owner: string,
  { state, process, expiry }: Owner,
  isBusy: boolean
): Promise<string | undefined> {
  if (state !== 'attached') {
    const id = parseProcessId(process)
    const isLiving = id !== undefined && (await isAlive(host.files, id))
    return isLiving && isBusy ? undefined : `process ${id?.pid ?? '?'} ${isLiving ? 'gave up' : 'died'} while ${state}`
  }
  if (expiry !== undefined) {
    return expiry.untilMs <= (await uptimeMs(host.files)) ? `its time to ${expiry.kind} is over` : undefined
  }
  if (domainOf(owner) === undefined) return undefined
  return (await xenstore.exists(owner)) ? undefined : `xenstore has no ${owner}`
}

// Written by one who was killed before it was put in its place, so nothing of it has happened.
async function planDrafts({ journal }: Context): Promise<readonly ReconcileAction[]> {
  return (await journal.drafts()).map(place => ({
    kind: 'forget',
    ...place,
    why: 'only a draft of its entry is there',
  }))
}

async function planTargets(context: Context, luns: readonly JournalledLun[]): Promise<readonly ReconcileAction[]> {
  const { journal } = context
  const idle = await Promise.all(
    (await journal.targets()).map(async (target): Promise<readonly ReconcileAction[]> => {
      const isHeld = luns.some(lun => lun.target === target && !lun.isStale)
      const sessions = await idleSessions(context, target)
      const leave: readonly ReconcileAction[] =
        sessions.length > 0
          ? [{ kind: 'leave', target, why: `no LUN lives on ${sessions.join(', ')}` }]
          : !isHeld && (await isToLeave(context, target))
            ? [{ kind: 'leave', target, why: 'no LUN of it is attached' }]
            : []
      return !isHeld && leave.length > 0 ? leave : [...leave, ...(await planFormerNotes(context, target))]
    })
  )
  return idle.flat()
}

/** Whether leaving a target would do anything: what somebody else's LUN or session keeps is left alone. */
async function isToLeave({ journal, iscsiadm }: Context, target: Iqn): Promise<boolean> {
  const noted = await journal.tryTarget(target)
  if ('reason' in noted) return false
  const { intents, changes, logins, jobs } = noted
  const keys: readonly (string | undefined)[] = (await iscsiadm.sessions({ target })).map(sessionKey)
  const isDraft = [intents, changes, logins].every(list => list.length === 0)
  if (keys.length === 0 || isDraft || Object.keys(jobs).length > 0) return true
  const isOver = (endpoint: string): boolean => !keys.includes(endpoint) && !keys.includes(undefined)
  return (
    [...intents.map(({ endpoint }) => endpoint), ...logins].some(isOver) ||
    changes.some(({ endpoint, made }) => isOver(endpoint) || (made === undefined && !logins.includes(endpoint)))
  )
}

async function idleSessions({ iscsiadm, scsi, journal }: Context, target: Iqn): Promise<readonly string[]> {
  const noted = await journal.tryTarget(target)
  if ('reason' in noted) return []
  const sessions = ourSessions(await iscsiadm.sessions({ target }), noted)
  return (await idleOf(scsi, sessions)).map(session => sessionKey(session) ?? `session ${session.sid}`)
}

async function planLocks({ host }: Context): Promise<readonly ReconcileAction[]> {
  const { files } = host
  const locksIn = async (folder: string, options?: OwnFolderOptions): Promise<readonly string[]> =>
    (await isOwnFolder(files, folder, options)) ? await files.list(folder) : []
  const names = await locksIn(DB_LOCK_FOLDER, { foreign: DB_LOCK_FOREIGN })
  const isOurs = (name: string): boolean => name === DB_LOCK || name.startsWith(HOLDER)
  const paths = names.filter(isOurs).map(name => `${DB_LOCK_FOLDER}/${name}`)
  for (const folder of [LUN_LOCKS, FORMER_LUN_LOCKS, VOLUME_LOCKS]) {
    paths.push(...(await locksIn(folder)).map(name => `${folder}/${name}`))
  }
  const abandoned = await Promise.all(paths.map(async path => await isAbandoned(files, path)))
  return paths.filter((_, n) => abandoned[n]).map(path => ({ kind: 'unlock', path, why: 'its process is dead' }))
}

/** Whether a release is still wanted. The caller has the LUN's lock, so nobody else is at it. */
export async function isStillGone(context: Context, place: LunPlace, owner: string): Promise<boolean> {
  const entry = await context.journal.lun(place)
  if (entry === undefined) return false
  const state = entry.owners.get(owner)
  return state === undefined ? entry.owners.size === 0 : (await whyGone(context, owner, state, false)) !== undefined
}
