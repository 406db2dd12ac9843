import type { Session } from './devices.ts'
import type { Kernel } from './kernel.ts'
import { portalOf, type RecordFile } from './node-records.ts'
import type { StorageArray, TargetChap } from './san.ts'
import type { Scheduler } from './scheduler.ts'

/** Exit codes of iscsiadm that a login can end with, open-iscsi include/iscsi_err.h. */
export const EXIT = {
  success: 0,
  database: 6,
  transportTimeout: 8,
  pduTimeout: 11,
  sessionExists: 15,
  daemonLost: 18,
  fatalLogin: 19,
  noDaemon: 20,
  noObjects: 21,
  sysfsLookup: 22,
  authFailed: 24,
} as const

/** The daemon that makes, keeps and ends sessions. */
export interface Iscsid {
  isRunning(): boolean
  start(): void
  stop(): void
  sessionOf(record: RecordFile): Session | undefined
  /** Goes on, whatever becomes of who asked. */
  login(record: RecordFile): Promise<number>
  /** Answers an exit code. */
  logout(session: Session): Promise<number>
  /** The next `count` logouts end as if it died in the middle of each: the session stays, without its target. */
  interruptLogouts(count: number): void
  readonly timing: LoginTiming
}

/** How long the network and the target take. */
export interface LoginTiming {
  loginMs: number
  logoutMs: number
}

const SECOND_MS = 1000
const RELOGIN_MS = 2000
const LOGOUT_TIMEOUT_MS = 15_000

export function createIscsid(kernel: Kernel, array: StorageArray, scheduler: Scheduler): Iscsid {
  let isRunning = true
  let interruptions = 0
  /** Records whose login is on its way. */
  const pending = new Set<string>()
  const timing: LoginTiming = { loginMs: 150, logoutMs: 50 }
  const relogin = (): void => {
    for (const session of kernel.sessions.values()) {
      scheduler.after(RELOGIN_MS, () => {
        const isLost = session.state !== 'LOGGED_IN' && kernel.sessions.get(session.sid) === session
        if (isRunning && isLost && array.isReachable(session.iqn, session.portal)) kernel.recover(session)
      })
    }
  }
  array.onChange(relogin)
  const sessionOf = (record: RecordFile): Session | undefined =>
    [...kernel.sessions.values()].find(
      session =>
        session.iqn === record.settings.get('node.name') &&
        session.portal === portalOf(record) &&
        session.iface === record.settings.get('iface.iscsi_ifacename')
    )
  /** A portal that does not answer may come back while the login is tried. */
  const connect = async (iqn: string, portal: string, patienceMs: number): Promise<boolean> => {
    const deadline = scheduler.now() + patienceMs
    while (isRunning) {
      if (array.isReachable(iqn, portal)) return true
      if (scheduler.now() >= deadline) return false
      await scheduler.sleep(Math.min(SECOND_MS, deadline - scheduler.now()))
    }
    return false
  }
  const logIn = async (record: RecordFile): Promise<number> => {
    const { settings } = record
    const iqn = settings.get('node.name') ?? ''
    const portal = portalOf(record)
    const number = (name: string): number => Number(settings.get(name))
    const patienceMs =
      number('node.conn[0].timeo.login_timeout') * number('node.session.initial_login_retry_max') * SECOND_MS
    await scheduler.sleep(timing.loginMs)
    if (!(await connect(iqn, portal, patienceMs))) {
      if (array.portalState(portal) === 'up') kernel.skipSession()
      return EXIT.transportTimeout
    }
    const refusal = checkChap(settings, array.targets.get(iqn)?.chap)
    if (refusal !== undefined) {
      kernel.skipSession()
      return refusal
    }
    kernel.createSession({
      iqn,
      portal,
      iface: settings.get('iface.iscsi_ifacename') ?? 'default',
      initiator: portal.replace(/\.\d+:\d+$/, '.10'),
      isScanned: settings.get('node.session.scan') !== 'manual',
    })
    return EXIT.success
  }
  return {
    timing,
    isRunning: () => isRunning,
    start: () => {
      isRunning = true
      relogin()
    },
    stop: () => {
      isRunning = false
    },
    sessionOf,
    login: async record => {
      if (pending.has(record.path) || sessionOf(record) !== undefined) return EXIT.sessionExists
      pending.add(record.path)
      const exitCode = await logIn(record)
      pending.delete(record.path)
      return exitCode
    },
    logout: async session => {
      const isHeard = array.isReachable(session.iqn, session.portal)
      await scheduler.sleep(isHeard ? timing.logoutMs : LOGOUT_TIMEOUT_MS)
      if (kernel.sessions.get(session.sid) !== session) return EXIT.success
      if (interruptions > 0) {
        interruptions--
        kernel.unbind(session, '-1')
        return EXIT.daemonLost
      }
      kernel.destroySession(session)
      return EXIT.success
    },
    interruptLogouts: count => {
      interruptions = count
    },
  }
}

function checkChap(settings: ReadonlyMap<string, string>, chap: TargetChap | undefined): number | undefined {
  if (chap === undefined) return undefined
  const auth = (name: string): string | undefined => settings.get(`node.session.auth.${name}`)
  if (auth('username') !== chap.username || auth('password') !== chap.password) return EXIT.authFailed
  if (auth('username_in') === undefined) return undefined
  const isProven = auth('username_in') === chap.mutual?.username && auth('password_in') === chap.mutual?.password
  return isProven ? undefined : EXIT.fatalLogin
}
