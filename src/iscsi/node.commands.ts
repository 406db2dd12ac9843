import type { Iqn } from '../core/iqn.ts'
import { formatPortal, type Portal } from '../core/portal.ts'
import type { Command } from '../host/command.ts'
import { ifaceName } from './iface-name.ts'
import { iscsiadm, toolOf } from './iscsiadm-command.ts'
import { parsePortals, type TargetPortal } from './portals.parse.ts'
import { type NodeConfig, parseNodeRecords } from './record.parse.ts'
import { type RecordSelector, selectorArgs, settingArgs } from './record-selector.ts'

/** Longer than a login with open-iscsi's defaults, 8 tries of 15 s, takes to give up. */
export const LOGIN_TIMEOUT_MS = 150_000
const LOGOUT_TIMEOUT_MS = 60_000 // twice node.conn[0].timeo.logout_timeout and iscsid's own 15 s
const SHORT_TIMEOUT_MS = 30_000

/** A record to make. */
export interface NewRecord {
  readonly target: Iqn
  readonly portal: Portal
  readonly iface: string
  /** Target portal group tag, if known; a wrong one makes the login fail. */
  readonly tpgt?: number | undefined
}

/** Lists the node records. One damaged record anywhere makes exit 7, `ISCSI_DB_BROKEN`; `NodeDb` reads round it. */
export function listNodes(): Command<readonly TargetPortal[]> {
  const args = ['-m', 'node']
  return iscsiadm<readonly TargetPortal[]>(args, {
    answers: { noObjectsFound: [] },
    errors: { invalid: 'ISCSI_DB_BROKEN' },
    read: stdout => parsePortals(stdout, toolOf(args)),
  })
}

/** Without `-S`, so that iscsiadm masks the secrets. */
export function showRecords(selector: RecordSelector): Command<readonly NodeConfig[]> {
  const args = ['-m', 'node', ...selectorArgs(selector), '-o', 'show']
  return iscsiadm<readonly NodeConfig[]>(args, {
    ...subjectOf(selector),
    answers: { noObjectsFound: [] },
    errors: { invalid: 'ISCSI_DB_BROKEN' },
    read: stdout => parseNodeRecords(stdout, toolOf(args)),
  })
}

/**
 * Makes a record with the settings of iscsid.conf, or without iscsid with the built-in ones. Measured with 2.1.11: one
 * that exists is reset to these settings, CHAP included, with exit 0 and the same words. Without `tpgt` the record is the one file `ADDRESS,PORT`, and the
 * record of another interface there is replaced; with it, it is the file IFACE in the folder `ADDRESS,PORT,TPGT`.
 */
export function newRecord({ target, portal, iface, tpgt }: NewRecord): Command<void> {
  const at = tpgt === undefined ? formatPortal(portal) : `${formatPortal(portal)},${tpgt}`
  const args = ['-m', 'node', '-T', target, '-p', at, '-I', ifaceName(iface), '-o', 'new']
  return iscsiadm(args, { target, portal, read: () => undefined })
}

/** Sets all settings of all records selected in one call. */
export function updateRecords(selector: RecordSelector, settings: Readonly<Record<string, string>>): Command<void> {
  const args = ['-m', 'node', ...selectorArgs(selector), '-o', 'update', ...settingArgs(settings)]
  return iscsiadm(args, {
    ...subjectOf(selector),
    errors: { noObjectsFound: 'ISCSI_NO_RECORD' },
    read: () => undefined,
  })
}

/** False when there was none. */
export function deleteRecords(selector: RecordSelector): Command<boolean> {
  const args = ['-m', 'node', ...selectorArgs(selector), '-o', 'delete']
  return iscsiadm(args, { ...subjectOf(selector), answers: { noObjectsFound: false }, read: () => true })
}

export function login(selector: RecordSelector, timeoutMs?: number): Command<'logged-in' | 'already'> {
  return iscsiadm<'logged-in' | 'already'>(['-m', 'node', ...selectorArgs(selector), '--login'], {
    ...subjectOf(selector),
    timeoutMs: timeoutMs ?? LOGIN_TIMEOUT_MS,
    answers: { sessionExists: 'already' },
    errors: { noObjectsFound: 'ISCSI_NO_RECORD' },
    read: () => 'logged-in',
  })
}

/** Tells iscsid to log in and does not wait: exit 0 says that iscsid heard it, no more. */
export function startLogin(selector: RecordSelector): Command<'started' | 'already'> {
  return iscsiadm<'started' | 'already'>(['-m', 'node', ...selectorArgs(selector), '--login', '-W'], {
    ...subjectOf(selector),
    timeoutMs: SHORT_TIMEOUT_MS,
    answers: { sessionExists: 'already' },
    errors: { noObjectsFound: 'ISCSI_NO_RECORD' },
    read: () => 'started',
  })
}

/** Exit 21 is also what iscsiadm answers when iscsid is dead and the session lives on. */
export function logout(selector: RecordSelector): Command<'logged-out' | 'none'> {
  return iscsiadm<'logged-out' | 'none'>(['-m', 'node', ...selectorArgs(selector), '--logout'], {
    ...subjectOf(selector),
    timeoutMs: LOGOUT_TIMEOUT_MS,
    answers: { noObjectsFound: 'none' },
    read: () => 'logged-out',
  })
}

/** Looks for new LUNs and new sizes on all sessions selected; false when there is none. */
export function rescanNodes(selector: RecordSelector): Command<boolean> {
  return iscsiadm(['-m', 'node', ...selectorArgs(selector), '--rescan'], {
    ...subjectOf(selector),
    timeoutMs: SHORT_TIMEOUT_MS,
    answers: { noObjectsFound: false },
    read: () => true,
  })
}

function subjectOf({ target, portal }: RecordSelector): { readonly target: Iqn; readonly portal?: Portal } {
  return { target, ...(portal !== undefined && { portal }) }
}
