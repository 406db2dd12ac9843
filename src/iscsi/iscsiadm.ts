import type { OperationOptions } from '../core/options.ts'
import { formatPortal, type Portal } from '../core/portal.ts'
import { createTurns } from '../flow/turns.ts'
import type { Host } from '../host/host.ts'
import { createMissingRecord } from './create-record.ts'
import { type DiscoverOptions, type DiscoverRequest, discoverPortals, forgetPortal } from './discovery.ts'
import { DEFAULT_IFACE } from './iface-name.ts'
import { createInterfaces, type Interfaces } from './interfaces.ts'
import * as node from './node.commands.ts'
import { createNodeDb } from './node-db.ts'
import type { TargetPortal } from './portals.parse.ts'
import type { NodeConfig } from './record.parse.ts'
import type { RecordSelector } from './record-selector.ts'
import { createRunner } from './runner.ts'
import { logoutSession, rescanSession } from './session.commands.ts'
import { hasSession, type IscsiSession, readSessions, type SessionFilter } from './session.ts'

export type { DiscoverOptions, DiscoverRequest } from './discovery.ts'
export type { DiscoveryNotes } from './discovery-record.ts'
export type { Iface } from './iface.parse.ts'
export type { TargetPortal } from './portals.parse.ts'
export type { NodeConfig } from './record.parse.ts'
export type { RecordSelector } from './record-selector.ts'

/** A record to make. */
export interface RecordRequest extends Omit<node.NewRecord, 'iface'> {
  /** Default `default`. Two interfaces for one portal need `tpgt`. */
  readonly iface?: string | undefined
}

/** Options of a login. */
export interface LoginOptions extends OperationOptions {
  /** Default 150 s: open-iscsi's own default gives up after 8 tries of 15 s. */
  readonly timeoutMs?: number | undefined
}

/**
 * iscsiadm of open-iscsi. What reads or writes records is not interrupted by `signal`, only kept from starting: a
 * killed iscsiadm can leave the database locked. Every method may also reject with what the executor throws, and with
 * `ISCSI_FAILED`, `ISCSI_DB_BUSY` (after some tries) or `INVALID_INPUT` (before any process).
 */
export interface Iscsiadm extends Interfaces {
  /**
   * Asks a portal (SendTargets) where targets listen; leaves nothing behind unless told to. Names that are no
   * {@link Iqn} are left out.
   *
   * @throws {@link LunError} `ISCSI_PORTAL_UNREACHABLE`, `ISCSI_AUTH_FAILED`, `ISCSI_LOGIN_REJECTED`,
   * `ISCSID_NOT_RUNNING`, `UNEXPECTED_OUTPUT`
   */
  discover(request: DiscoverRequest, options?: DiscoverOptions): Promise<readonly TargetPortal[]>

  /** Deletes the discovery record of a portal, and with it what it says of credentials; false if there was none. */
  deleteDiscoveryRecord(portal: Portal, options?: OperationOptions): Promise<boolean>

  /**
   * All node records, shortly. `NodeDb.records` says more, and survives damaged records.
   *
   * @throws {@link LunError} `ISCSI_DB_BROKEN`, `UNEXPECTED_OUTPUT`
   */
  nodes(options?: OperationOptions): Promise<readonly TargetPortal[]>
  /** Node records in full, secrets left out; none is no error. @throws {@link LunError} `ISCSI_DB_BROKEN`, `UNEXPECTED_OUTPUT` */
  showRecords(selector: RecordSelector, options?: OperationOptions): Promise<readonly NodeConfig[]>
  /**
   * Makes a node record with the defaults of iscsid.conf, without discovery; leaves one that exists alone.
   *
   * @throws {@link LunError} `INVALID_INPUT` where open-iscsi would replace the record of another interface
   */
  createRecord(record: RecordRequest, options?: OperationOptions): Promise<'created' | 'exists'>
  /** Changes settings; secrets are refused, they go through `NodeDb.update`. @throws {@link LunError} `ISCSI_NO_RECORD` */
  updateRecords(
    selector: RecordSelector,
    settings: Readonly<Record<string, string>>,
    options?: OperationOptions
  ): Promise<void>
  /** Deletes the records selected, whoever made them; false if there was none. */
  deleteRecords(selector: RecordSelector, options?: OperationOptions): Promise<boolean>

  /**
   * Logs in to the portals selected, all at once, and waits for the slowest. `already` says that iscsid has or makes
   * such a session, not that it works; and when only some portals fail this rejects although others are logged in.
   * {@link Iscsiadm.sessions} tells. An abort does not stop iscsid, which goes on trying.
   *
   * @throws {@link LunError} `ISCSI_AUTH_FAILED`, `ISCSI_LOGIN_REJECTED`, `ISCSI_PORTAL_UNREACHABLE`,
   * `ISCSI_NO_RECORD`, `ISCSID_NOT_RUNNING`
   */
  login(selector: RecordSelector, options?: LoginOptions): Promise<'logged-in' | 'already'>
  /** Like `login`, without waiting: whether it works, only {@link Iscsiadm.sessions} will tell. */
  startLogin(selector: RecordSelector, options?: OperationOptions): Promise<'started' | 'already'>
  /**
   * Logs out of the portals selected. `none` is no proof: iscsiadm says so, too, when iscsid is dead and the session
   * lives on. Check {@link Iscsiadm.sessions}.
   *
   * @throws {@link LunError} `ISCSID_NOT_RUNNING`, `ISCSI_FAILED`
   */
  logout(selector: RecordSelector, options?: OperationOptions): Promise<'logged-out' | 'none'>
  /** Logs out of one session by its number. @throws {@link LunError} `ISCSI_LOGOUT_FAILED`, `ISCSID_NOT_RUNNING` */
  logoutSession(sid: number, options?: OperationOptions): Promise<'logged-out' | 'none'>
  /** Has a session look for new LUNs and sizes; false if there is no such session. */
  rescanSession(sid: number, options?: OperationOptions): Promise<boolean>
  /** Has all sessions selected look for new LUNs and sizes; false if there is none. */
  rescanTarget(selector: RecordSelector, options?: OperationOptions): Promise<boolean>
  /** The sessions of this host from sysfs; starts no process, works without iscsid. */
  sessions(filter?: SessionFilter): Promise<readonly IscsiSession[]>
  /** Whether the kernel has a session of this number, also one of which nothing can be read. */
  hasSession(sid: number): Promise<boolean>
}

/**
 * iscsiadm of a host.
 *
 * @example
 * ```ts
 * import { createIscsiadm, createLocalHost, iqn, portal } from 'xen-lun'
 *
 * const iscsiadm = createIscsiadm(createLocalHost())
 * const target = iqn('iqn.2001-05.com.example:vm1')
 * const offers = await iscsiadm.discover({ portal: portal('10.0.1.1') })
 * for (const offer of offers.filter(one => one.target === target)) await iscsiadm.createRecord(offer)
 * await iscsiadm.login({ target })
 * console.log(await iscsiadm.sessions({ target }))
 * ```
 */
export function createIscsiadm(host: Host): Iscsiadm {
  const { files } = host
  const runner = createRunner(host)
  const tools = { ...host, runner, nodeDb: createNodeDb(host) }
  // Records of one portal one after the other: each has to see the one before it.
  const portals = createTurns()

  return {
    discover: async (request, options) => await discoverPortals(tools, request, options),
    deleteDiscoveryRecord: async (portal, options) => await forgetPortal(tools, portal, options),
    nodes: async options => await runner.whole(node.listNodes(), options),
    showRecords: async (selector, options) => await runner.whole(node.showRecords(selector), options),
    createRecord: async ({ iface = DEFAULT_IFACE, ...record }, options) => {
      const create = async (): Promise<'created' | 'exists'> =>
        await createMissingRecord(tools, { ...record, iface }, options)
      return await portals.take(`${record.target} ${formatPortal(record.portal)}`, create)
    },
    updateRecords: async (selector, settings, options) =>
      await runner.whole(node.updateRecords(selector, settings), options),
    deleteRecords: async (selector, options) => await runner.whole(node.deleteRecords(selector), options),
    login: async (selector, { timeoutMs, signal } = {}) =>
      await runner.abortable(node.login(selector, timeoutMs), { signal }),
    startLogin: async (selector, options) => await runner.abortable(node.startLogin(selector), options),
    logout: async (selector, options) => await runner.abortable(node.logout(selector), options),
    logoutSession: async (sid, options) => {
      const session = (await readSessions(files)).find(one => one.sid === sid)
      return await runner.abortable(logoutSession(sid, session?.target ?? 'an unknown target'), options)
    },
    rescanSession: async (sid, options) => await runner.abortable(rescanSession(sid), options),
    rescanTarget: async (selector, options) => await runner.abortable(node.rescanNodes(selector), options),
    sessions: async filter => await readSessions(files, filter),
    hasSession: async sid => await hasSession(files, sid),
    ...createInterfaces(runner),
  }
}
