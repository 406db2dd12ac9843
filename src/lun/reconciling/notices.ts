import { multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import { holderOf } from '../../flow/link-lock.ts'
import { DB_LOCK, DB_LOCK_FOLDER } from '../../iscsi/db-lock.ts'
import { type IscsiSession, sessionPortal } from '../../iscsi/session.ts'
import { lookAtRecord } from '../../iscsi/standing-record.ts'
import type { Context } from '../context.ts'
import { claimedRecords, STAYS } from '../detaching/own-records.ts'
import { ourSessions } from '../journal/jobs.ts'
import { unlessUnsafe } from '../journal/unless-unsafe.ts'

/** Something that is not as it should be, and not ours to change. */
export interface ReconcileNotice {
  readonly kind:
    | 'foreign-session'
    | 'foreign-lun'
    | 'missing-lun'
    | 'empty-map'
    | 'broken-record'
    | 'foreign-record'
    | 'database-lock'
    | 'unreadable-entry'
  /** What it is about: a session, a LUN, a map, a file. */
  readonly subject: string
  /** What is so, and what can be done. */
  readonly message: string
}

/** What a person should know of sessions, LUNs, maps, records and locks. */
export async function findNotices(context: Context): Promise<readonly ReconcileNotice[]> {
  const looks = [sessions, missingLuns, emptyMaps, brokenRecords, foreignRecords, databaseLock, unreadableEntries]
  const found = await Promise.all(
    looks.map(async look => await unlessUnsafe<readonly ReconcileNotice[]>(look(context), []))
  )
  return found.flat()
}

async function sessions(context: Context): Promise<readonly ReconcileNotice[]> {
  const all = await context.iscsiadm.sessions()
  return (await Promise.all(all.map(async session => await describeSession(context, session)))).flat()
}

async function describeSession({ journal, scsi }: Context, session: IscsiSession): Promise<readonly ReconcileNotice[]> {
  const { target, sid, state } = session
  const at = `session ${sid} with ${target} at ${sessionPortal(session)}`
  const noted = await journal.tryTarget(target)
  if ('reason' in noted) return []
  if (ourSessions([session], noted).length === 0) {
    const left = `${at} was made by somebody else, and is left alone`
    const message =
      state === 'unbound'
        ? `${left}; its target is unbound, so it carries nothing and keeps iscsid from another login there: log it out`
        : left
    return [{ kind: 'foreign-session', subject: String(sid), message }]
  }
  const known = (await journal.luns()).filter(lun => lun.target === target).map(({ lun }) => lun)
  const strangers = (await scsi.devices(session)).filter(({ lun }) => !known.includes(lun))
  return strangers.map(({ lun }) => ({
    kind: 'foreign-lun',
    subject: `LUN ${lun} of ${target}`,
    message: `LUN ${lun} on ${at} was scanned by somebody else, and keeps the session from ending`,
  }))
}

async function missingLuns({ journal, iscsiadm, scsi }: Context): Promise<readonly ReconcileNotice[]> {
  const notices: ReconcileNotice[] = []
  for (const { target, lun, entry, isStale } of await journal.luns()) {
    if (entry === undefined || isStale) continue
    if (![...entry.owners.values()].some(({ state }) => state === 'attached')) continue
    const devices = await Promise.all(
      (await iscsiadm.sessions({ target })).map(async session => await scsi.devices(session))
    )
    if (devices.flat().some(device => device.lun === lun)) continue
    const owners = [...entry.owners.keys()].join(', ')
    const message = `${owners} should have it, but none of its disks is there; attach it again, or detach it`
    notices.push({ kind: 'missing-lun', subject: `LUN ${lun} of ${target}`, message })
  }
  return notices
}

/** A map without paths serves nobody; whoever has it open still waits for it. */
async function emptyMaps({ host, journal }: Context): Promise<readonly ReconcileNotice[]> {
  const luns = await journal.luns()
  // It may be that of a LUN whose entry nobody can read.
  if (luns.some(({ entry }) => entry === undefined)) return []
  const ours = luns.map(({ entry }) => entry?.wwid)
  const names = (await host.files.list('/sys/block')).filter(name => name.startsWith('dm-'))
  const devices = await Promise.all(names.map(async name => await readBlockDevice(host.files, name)))
  return devices.flatMap(device => {
    const wwid = multipathWwid(device)
    if (device === undefined || wwid === undefined || device.slaves.length > 0) return []
    if (ours.some(our => our === wwid)) return []
    const subject = device.dm?.name ?? device.name
    const message = `map ${subject} has no path and is nobody's; "multipath -f ${subject}" removes it`
    return [{ kind: 'empty-map', subject, message }]
  })
}

async function brokenRecords({ nodeDb }: Context): Promise<readonly ReconcileNotice[]> {
  const { broken } = await nodeDb.records()
  return broken.map(({ path, reason }) => ({
    kind: 'broken-record',
    subject: path,
    message: `${reason}; iscsiadm may refuse every record because of it: mend or delete the file`,
  }))
}

/** Records that stand where one of ours is noted, and are not it: they stay. */
async function foreignRecords({ host, nodeDb, journal }: Context): Promise<readonly ReconcileNotice[]> {
  const notices: ReconcileNotice[] = []
  for (const target of await journal.targets()) {
    const noted = await journal.tryTarget(target)
    if ('reason' in noted) continue
    for (const { path, isOurs } of await claimedRecords({ host, nodeDb }, target, noted)) {
      const found = await lookAtRecord(host.files, path)
      if (found === undefined || isOurs(found)) continue
      notices.push({ kind: 'foreign-record', subject: path, message: `${path} ${STAYS}` })
    }
  }
  return notices
}

/** iscsiadm's lock carries no name, so that it was left behind shows only by there being no iscsiadm. */
async function databaseLock({ host }: Context): Promise<readonly ReconcileNotice[]> {
  const { files } = host
  const path = `${DB_LOCK_FOLDER}/${DB_LOCK}`
  if ((await files.stat(path)) === undefined || (await holderOf(files, path)) !== undefined) return []
  for (const pid of (await files.list('/proc')).filter(name => /^\d+$/.test(name))) {
    if ((await files.read(`/proc/${pid}/comm`))?.trim() === 'iscsiadm') return []
  }
  const message = 'no iscsiadm runs, so a killed one left it behind, and every other waits 30 s for it: remove the file'
  return [{ kind: 'database-lock', subject: path, message }]
}

async function unreadableEntries({ journal }: Context): Promise<readonly ReconcileNotice[]> {
  return (await journal.unreadable()).map(({ path, reason, isUnsafe }) => ({
    kind: 'unreadable-entry',
    subject: path,
    message:
      isUnsafe === true
        ? `${path} ${reason}: no note in it is believed, and nothing is done, until nobody but root can write there`
        : `${path} ${reason}: what it is about stays as it is, until somebody sees who uses it and removes the file`,
  }))
}
