import { integer } from '../core/check.ts'
import type { Command } from '../host/command.ts'
import { iscsiadm } from './iscsiadm-command.ts'

const LOGOUT_TIMEOUT_MS = 60_000
const RESCAN_TIMEOUT_MS = 30_000
const MAX_SID = 2 ** 31 - 1

/** `target` is for the error only. */
export function logoutSession(sid: number, target: string): Command<'logged-out' | 'none'> {
  return iscsiadm<'logged-out' | 'none'>(['-m', 'session', '-r', sidText(sid), '-u'], {
    target,
    sid,
    timeoutMs: LOGOUT_TIMEOUT_MS,
    // 22: sysfs has no such session any more.
    answers: { sessionNotFound: 'none', noObjectsFound: 'none', sysfsLookup: 'none' },
    errors: {
      logout: 'ISCSI_LOGOUT_FAILED',
      busy: 'ISCSI_LOGOUT_FAILED',
      internal: 'ISCSI_LOGOUT_FAILED',
      sessionNotConnected: 'ISCSI_LOGOUT_FAILED', // iscsid is just trying to restore it
    },
    read: () => 'logged-out',
  })
}

/** False when there is no such session. */
export function rescanSession(sid: number): Command<boolean> {
  return iscsiadm(['-m', 'session', '-r', sidText(sid), '--rescan'], {
    sid,
    timeoutMs: RESCAN_TIMEOUT_MS,
    answers: { sessionNotFound: false, noObjectsFound: false, sysfsLookup: false },
    read: () => true,
  })
}

function sidText(sid: number): string {
  return String(integer(sid, 'sid', 0, MAX_SID))
}
