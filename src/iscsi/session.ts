import { type Iqn, readIqn } from '../core/iqn.ts'
import { formatPortal, type Portal } from '../core/portal.ts'
import type { Files } from '../host/files.ts'
import { readTpgt } from './address.ts'

/** A session of the kernel, as sysfs shows it. What cannot be read of it is undefined: it is there all the same. */
export interface IscsiSession {
  /** Session number, the N of `/sys/class/iscsi_session/sessionN`. */
  readonly sid: number
  readonly target: Iqn
  /** SCSI host number. */
  readonly host: number | undefined
  /** SCSI channel: always 0 with open-iscsi. */
  readonly channel: 0
  /** SCSI target number. Undefined also for a target that the kernel has unbound, once its devices are gone. */
  readonly targetId: number | undefined
  /** Name of the interface record the session was made with: `default`. */
  readonly iface: string
  /**
   * `failed`: the connection is lost and being restored. `free`: given up for now, I/O fails; or not logged in yet.
   * `unbound`: its logout was begun and not ended, so it never carries anything again, yet iscsid makes no other.
   * `unknown`: sysfs does not tell all that it takes to use it.
   */
  readonly state: 'logged-in' | 'failed' | 'free' | 'unbound' | 'unknown'
  /** The state in the kernel's words: `LOGGED_IN`, which an unbound one may say as well. */
  readonly rawState: string | undefined
  /** The portal of the node record. This is what tells which request a session belongs to. */
  readonly persistentPortal: Portal | undefined
  /** Where it is connected; an array may have redirected the login to another of its ports. Missing while it is not. */
  readonly currentPortal?: Portal | undefined
  /** Target portal group tag. */
  readonly tpgt?: number | undefined
  /** Seconds until I/O fails after a loss; multipathd sets it to its fast_io_fail_tmo. */
  readonly recoveryTimeoutS?: number | undefined
}

/** A session that carries I/O: it is logged in, and all is known that it takes to use it. */
export type UsableSession = IscsiSession & {
  readonly host: number
  readonly targetId: number
  readonly persistentPortal: Portal
}

export function isUsableSession(session: IscsiSession): session is UsableSession {
  const { state, host, targetId, persistentPortal } = session
  return state === 'logged-in' && [host, targetId, persistentPortal].every(fact => fact !== undefined)
}

/** Where it goes, for people: a session whose connection is gone has no portal any more. */
export function sessionPortal({ persistentPortal, currentPortal }: IscsiSession): string {
  const portal = persistentPortal ?? currentPortal
  return portal === undefined ? 'unknown' : formatPortal(portal)
}

/** Which sessions. */
export interface SessionFilter {
  readonly target?: Iqn | undefined
}

const SESSIONS = '/sys/class/iscsi_session'
const CONNECTIONS = '/sys/class/iscsi_connection'
const MAX_PORT = 65_535
// Linux drivers/scsi/scsi_transport_iscsi.c, ISCSI_MAX_TARGET, as a number with and without sign
const UNBOUND = ['-1', '4294967295']
// Linux drivers/scsi/scsi_transport_iscsi.c, iscsi_session_state_names
const STATES: ReadonlyMap<string, IscsiSession['state']> = new Map([
  ['LOGGED_IN', 'logged-in'],
  ['FAILED', 'failed'],
  ['FREE', 'free'],
])

/**
 * All sessions, by number, read from sysfs: no process, works without iscsid, and unlike `iscsiadm -m session` it
 * tells whether a session works. Left out is only one that is gone, or names no target: it is just coming or going.
 */
export async function readSessions(files: Files, { target }: SessionFilter = {}): Promise<readonly IscsiSession[]> {
  const sids = (await files.list(SESSIONS)).flatMap(name => /^session(\d{1,10})$/.exec(name)?.[1] ?? [])
  const sessions = await Promise.all(sids.map(async sid => await readSession(files, sid, target)))
  return sessions.filter(session => session !== undefined).toSorted((a, b) => a.sid - b.sid)
}

/** Whether the kernel has a session of this number, whatever can be read of it. */
export async function hasSession(files: Files, sid: number): Promise<boolean> {
  return (await files.list(SESSIONS)).includes(`session${sid}`)
}

async function readSession(files: Files, sid: string, wanted: Iqn | undefined): Promise<IscsiSession | undefined> {
  const folder = `${SESSIONS}/session${sid}`
  const target = readIqn((await attribute(files, `${folder}/targetname`)) ?? '')
  if (target === undefined || (wanted !== undefined && target !== wanted)) return undefined
  const [place, rawState, iface, targetId, tpgt, recovery, address, port, currentAddress, currentPort] =
    await Promise.all([
      files.realpath(folder),
      ...['state', 'ifacename', 'target_id', 'tpgt', 'recovery_tmo'].map(
        async name => await attribute(files, `${folder}/${name}`)
      ),
      // open-iscsi makes one connection per session, number 0.
      ...['persistent_address', 'persistent_port', 'address', 'port'].map(
        async name => await attribute(files, `${CONNECTIONS}/connection${sid}:0/${name}`)
      ),
    ])
  if (place === undefined) return undefined
  const [, device, host] = /^(.*\/host(\d{1,9})\/session\d+)\//.exec(place) ?? []
  const isUnbound = targetId !== undefined && UNBOUND.includes(targetId)
  const id = isUnbound ? await boundId(files, device) : toCount(targetId)
  const isWhole = host !== undefined && id !== undefined
  return {
    sid: Number(sid),
    target,
    host: toCount(host),
    channel: 0,
    targetId: id,
    iface: iface ?? 'default',
    state: isUnbound ? 'unbound' : ((isWhole ? STATES.get(rawState ?? '') : undefined) ?? 'unknown'),
    rawState,
    persistentPortal: portalOf(address, port),
    currentPortal: portalOf(currentAddress, currentPort),
    tpgt: readTpgt(tpgt ?? ''),
    recoveryTimeoutS: toCount(recovery),
  }
}

/** The number a target had, as long as a device of it is left. */
async function boundId(files: Files, device: string | undefined): Promise<number | undefined> {
  const names = device === undefined ? [] : await files.list(device)
  for (const name of names) {
    const [, id] = /^target\d+:0:(\d+)$/.exec(name) ?? []
    const below = id === undefined ? [] : await files.list(`${device}/${name}`)
    if (below.some(child => /^\d+:0:\d+:\d+$/.test(child))) return toCount(id)
  }
  return undefined
}

async function attribute(files: Files, path: string): Promise<string | undefined> {
  try {
    const text = (await files.read(path))?.trim()
    return text === undefined || text === '' || text === '(null)' ? undefined : text
  } catch {
    // A connection without socket answers ENOTCONN, a session being torn down EINVAL or EIO: not there at present.
    return undefined
  }
}

// The host came from a login that worked, so it needs no check; a link-local address has a zone.
function portalOf(address: string | undefined, text: string | undefined): Portal | undefined {
  const port = toCount(text) ?? 0
  if (address === undefined || port < 1 || port > MAX_PORT) return undefined
  return { host: address.toLowerCase(), port }
}

// 4294967295 is how the kernel prints a number it has not got yet.
function toCount(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
