import { type Iqn, readIqn } from '../core/iqn.ts'
import type { Portal } from '../core/portal.ts'
import type { Files } from '../host/files.ts'
import { readTpgt } from './address.ts'

/** A session of the kernel, as sysfs shows it. */
export interface IscsiSession {
  /** Session number, the N of `/sys/class/iscsi_session/sessionN`. */
  readonly sid: number
  readonly target: Iqn
  /** SCSI host number. */
  readonly host: number
  /** SCSI channel: always 0 with open-iscsi. */
  readonly channel: 0
  /** SCSI target number. */
  readonly targetId: number
  /** Name of the interface record the session was made with: `default`. */
  readonly iface: string
  /** `failed`: the connection is lost and being restored. `free`: given up for now, I/O fails. */
  readonly state: 'logged-in' | 'failed' | 'free' | 'unknown'
  /** The state in the kernel's words: `LOGGED_IN`. */
  readonly rawState: string
  /** The portal of the node record. This is what tells which request a session belongs to. */
  readonly persistentPortal: Portal
  /** Where it is connected; an array may have redirected the login to another of its ports. Missing while it is not. */
  readonly currentPortal?: Portal | undefined
  /** Target portal group tag. */
  readonly tpgt?: number | undefined
  /** Seconds until I/O fails after a loss; multipathd sets it to its fast_io_fail_tmo. */
  readonly recoveryTimeoutS?: number | undefined
}

/** Which sessions. */
export interface SessionFilter {
  readonly target?: Iqn | undefined
}

const SESSIONS = '/sys/class/iscsi_session'
const CONNECTIONS = '/sys/class/iscsi_connection'
const MAX_PORT = 65_535
// Linux drivers/scsi/scsi_transport_iscsi.c, iscsi_session_state_names
const STATES: ReadonlyMap<string, IscsiSession['state']> = new Map([
  ['LOGGED_IN', 'logged-in'],
  ['FAILED', 'failed'],
  ['FREE', 'free'],
])

/**
 * All sessions, by number, read from sysfs: no process, works without iscsid, and unlike `iscsiadm -m session` it
 * tells whether a session works. One that appears or goes while being read is left out, never shown in part.
 */
export async function readSessions(files: Files, { target }: SessionFilter = {}): Promise<readonly IscsiSession[]> {
  const sids = (await files.list(SESSIONS)).flatMap(name => /^session(\d{1,10})$/.exec(name)?.[1] ?? [])
  const sessions = await Promise.all(sids.map(async sid => await readSession(files, sid, target)))
  return sessions.filter(session => session !== undefined).toSorted((a, b) => a.sid - b.sid)
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
  const host = /\/host(\d{1,10})\/session\d+\//.exec(place ?? '')?.[1]
  const persistentPortal = portalOf(address, port)
  const id = toCount(targetId)
  if (host === undefined || rawState === undefined || id === undefined || persistentPortal === undefined)
    return undefined
  return {
    sid: Number(sid),
    target,
    host: Number(host),
    channel: 0,
    targetId: id,
    iface: iface ?? 'default',
    state: STATES.get(rawState) ?? 'unknown',
    rawState,
    persistentPortal,
    currentPortal: portalOf(currentAddress, currentPort),
    tpgt: readTpgt(tpgt ?? ''),
    recoveryTimeoutS: toCount(recovery),
  }
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
