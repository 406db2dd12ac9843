import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { portal } from '../../src/core/portal.ts'
import type { Command } from '../../src/host/command.ts'
import * as discovery from '../../src/iscsi/discovery.commands.ts'
import { iscsiExitName } from '../../src/iscsi/exit.ts'
import * as iface from '../../src/iscsi/iface.commands.ts'
import * as node from '../../src/iscsi/node.commands.ts'
import * as session from '../../src/iscsi/session.commands.ts'
import { V1 } from './fixtures.ts'

const P = portal('10.0.1.1')
const selector = { target: V1, portal: P }

// open-iscsi include/iscsi_err.h, and the texts of iscsiadm 2.1.11 for 32 and 33
const NAMES = [
  'success',
  'unknown',
  'sessionNotFound',
  'noMemory',
  'transport',
  'login',
  'database',
  'invalid',
  'transportTimeout',
  'internal',
  'logout',
  'pduTimeout',
  'transportNotFound',
  'access',
  'transportCapabilities',
  'sessionExists',
  'invalidRequest',
  'isnsUnavailable',
  'iscsidCommunication',
  'fatalLogin',
  'iscsidNotConnected',
  'noObjectsFound',
  'sysfsLookup',
  'hostNotFound',
  'loginAuthFailed',
  'isnsQuery',
  'isnsRegistration',
  'notSupported',
  'busy',
  'again',
  'unknownDiscoveryType',
  'childTerminated',
  'sessionNotConnected',
  'requestTimeout',
]

// What every command means by a code unless its own line below says otherwise.
const COMMON: Record<number, string> = {
  4: 'ISCSI_PORTAL_UNREACHABLE',
  5: 'ISCSI_LOGIN_REJECTED',
  6: 'ISCSI_DB_BUSY',
  8: 'ISCSI_PORTAL_UNREACHABLE',
  11: 'ISCSI_PORTAL_UNREACHABLE',
  18: 'ISCSID_NOT_RUNNING',
  19: 'ISCSI_LOGIN_REJECTED',
  20: 'ISCSID_NOT_RUNNING',
  24: 'ISCSI_AUTH_FAILED',
}

const COMMANDS: [name: string, command: Command<unknown>, own: Record<number, unknown>][] = [
  ['discover', discovery.discover({ portal: P, isPersistent: false }), { 0: [], 21: [] }],
  ['discoverByRecord', discovery.discoverByRecord({ portal: P, isPersistent: false }), { 0: [], 21: [] }],
  ['newDiscoveryRecord', discovery.newDiscoveryRecord(P), { 0: undefined }],
  ['deleteDiscoveryRecord', discovery.deleteDiscoveryRecord(P), { 0: undefined }],
  ['listNodes', node.listNodes(), { 0: [], 7: 'ISCSI_DB_BROKEN', 21: [] }],
  ['showRecords', node.showRecords(selector), { 0: [], 7: 'ISCSI_DB_BROKEN', 21: [] }],
  ['newRecord', node.newRecord({ ...selector, iface: 'default' }), { 0: undefined }],
  [
    'updateRecords',
    node.updateRecords(selector, { 'node.startup': 'manual' }),
    { 0: undefined, 21: 'ISCSI_NO_RECORD' },
  ],
  ['deleteRecords', node.deleteRecords(selector), { 0: true, 21: false }],
  ['login', node.login(selector), { 0: 'logged-in', 15: 'already', 21: 'ISCSI_NO_RECORD' }],
  ['startLogin', node.startLogin(selector), { 0: 'started', 15: 'already', 21: 'ISCSI_NO_RECORD' }],
  ['logout', node.logout(selector), { 0: 'logged-out', 21: 'none' }],
  ['rescanNodes', node.rescanNodes(selector), { 0: true, 21: false }],
  [
    'logoutSession',
    session.logoutSession(7, V1),
    {
      0: 'logged-out',
      2: 'none',
      21: 'none',
      22: 'none',
      9: 'ISCSI_LOGOUT_FAILED',
      10: 'ISCSI_LOGOUT_FAILED',
      28: 'ISCSI_LOGOUT_FAILED',
      32: 'ISCSI_LOGOUT_FAILED',
    },
  ],
  ['rescanSession', session.rescanSession(7), { 0: true, 2: false, 21: false, 22: false }],
  ['listIfaces', iface.listIfaces(), { 0: [], 21: [] }],
  ['newIface', iface.newIface('eth1'), { 0: undefined }],
  ['updateIface', iface.updateIface('eth1', { 'iface.mtu': '9000' }), { 0: 'ISCSI_FAILED' }],
  ['deleteIface', iface.deleteIface('eth1'), { 0: undefined }],
]

function outcome(command: Command<unknown>, exitCode: number): unknown {
  try {
    return command.decode({ exitCode, stdout: '', stderr: 'iscsiadm: said so' })
  } catch (error) {
    return isLunError(error) ? error.code : error
  }
}

describe('exit codes of iscsiadm', () => {
  it('all have the names of open-iscsi', () => {
    expect(Array.from({ length: 35 }, (_, code) => iscsiExitName(code))).toEqual([...NAMES, undefined])
  })

  it.each(COMMANDS)('%s decides on every one of them', (_name, command, own) => {
    for (let code = 0; code < NAMES.length; code++) {
      const expected = code in own ? own[code] : (COMMON[code] ?? 'ISCSI_FAILED')
      expect([code, outcome(command, code)]).toEqual([code, expected])
    }
  })

  it('are all covered by these commands', () => {
    const made = [discovery, node, session, iface].flatMap(module =>
      Object.entries(module).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []))
    )
    expect(COMMANDS.map(([name]) => name).toSorted()).toEqual(made.toSorted())
  })

  it('that nobody knows are ISCSI_FAILED', () => {
    fc.assert(
      fc.property(fc.constantFrom(...COMMANDS), fc.integer({ min: 34, max: 255 }), ([, command], code) => {
        expect(outcome(command, code)).toBe('ISCSI_FAILED')
      })
    )
  })

  it('come with the facts', () => {
    const decode = (command: Command<unknown>, exitCode: number) => () =>
      command.decode({ exitCode, stdout: '', stderr: 'iscsiadm: a\niscsiadm: b\niscsiadm: a\n' })
    expect(decode(node.login(selector), 24)).toThrow(
      expect.objectContaining({ details: { target: V1, portal: '10.0.1.1:3260' } })
    )
    expect(decode(node.login({ target: V1 }), 19)).toThrow(
      expect.objectContaining({ details: { target: V1, portal: undefined, exitCode: 19 } })
    )
    expect(decode(session.logoutSession(7, V1), 10)).toThrow(
      expect.objectContaining({ details: { target: V1, sid: 7 } })
    )
    expect(decode(iface.listIfaces(), 13)).toThrow(
      expect.objectContaining({
        message: 'iscsiadm -m iface: exit 13 (access): iscsiadm: a; iscsiadm: b',
        details: {
          command: 'iscsiadm -m iface',
          exitCode: 13,
          exitName: 'access',
          stderr: 'iscsiadm: a\niscsiadm: b\niscsiadm: a',
        },
      })
    )
    expect(decode(discovery.discover({ portal: P, isPersistent: false }), 11)).toThrow(
      '10.0.1.1:3260 did not answer for the discovery session (pduTimeout)'
    )
  })
})
