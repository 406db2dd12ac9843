import { formatPortal, type Portal } from '../core/portal.ts'
import type { Command } from '../host/command.ts'
import { type IscsiadmSpec, iscsiadm, toolOf } from './iscsiadm-command.ts'
import { parsePortals, type TargetPortal } from './portals.parse.ts'
import { ifaceArgs } from './record-selector.ts'

/** Six tries of 15 s, open-iscsi's default for a portal that does not answer, and a margin. */
export const DISCOVERY_TIMEOUT_MS = 100_000

/** How to ask. */
export interface DiscoverySpec {
  readonly portal: Portal
  /** Interface records to ask, and with `isPersistent` to record, through. */
  readonly ifaces?: readonly string[] | undefined
  /** Keep what is found in the node database. */
  readonly isPersistent: boolean
  readonly timeoutMs?: number | undefined
}

/** SendTargets with the settings of iscsid.conf. */
export function discover(spec: DiscoverySpec): Command<readonly TargetPortal[]> {
  return asking(['-m', 'discovery', ...commonArgs(spec)], spec)
}

/** SendTargets with the settings, CHAP included, of the portal's discovery record. */
export function discoverByRecord(spec: DiscoverySpec): Command<readonly TargetPortal[]> {
  return asking(['-m', 'discoverydb', ...commonArgs(spec), '--discover'], spec)
}

/** Makes the discovery record of a portal, with the settings of iscsid.conf; one that exists is reset to them. */
export function newDiscoveryRecord(portal: Portal): Command<void> {
  return iscsiadm([...recordArgs(portal), '-o', 'new'], silent(portal))
}

/** Exit 6, reported as `ISCSI_DB_BUSY`, also says that there is no such record. */
export function deleteDiscoveryRecord(portal: Portal): Command<void> {
  return iscsiadm([...recordArgs(portal), '-o', 'delete'], silent(portal))
}

function commonArgs({ portal, ifaces = [], isPersistent }: DiscoverySpec): readonly string[] {
  return [
    '-t',
    'st',
    '-p',
    formatPortal(portal),
    ...ifaces.flatMap(iface => ifaceArgs(iface)),
    ...(isPersistent ? [] : ['-o', 'nonpersistent']),
  ]
}

function recordArgs(portal: Portal): readonly string[] {
  return ['-m', 'discoverydb', '-t', 'st', '-p', formatPortal(portal)]
}

function asking(args: readonly string[], { portal, timeoutMs }: DiscoverySpec): Command<readonly TargetPortal[]> {
  return iscsiadm<readonly TargetPortal[]>(args, {
    portal,
    timeoutMs: timeoutMs ?? DISCOVERY_TIMEOUT_MS,
    // The portal answered and offers this host nothing.
    answers: { noObjectsFound: [] },
    read: stdout => parsePortals(stdout, toolOf(args)),
  })
}

function silent(portal: Portal): IscsiadmSpec<void> {
  return { portal, read: () => undefined }
}
