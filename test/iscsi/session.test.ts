import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { portal } from '../../src/core/portal.ts'
import type { Files } from '../../src/host/files.ts'
import { hasSession, type IscsiSession, isUsableSession, readSessions } from '../../src/iscsi/session.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'
import { V1, V2 } from './fixtures.ts'

// As in the lab, Linux 6.12: a session's folder in /sys/devices, and links to it in /sys/class.
function sysfs(...sessions: readonly Readonly<Record<string, string>>[]): MemoryFiles {
  const files: Record<string, string> = {}
  const links: Record<string, string> = {}
  for (const { sid = '1', host = '2', ...changes } of sessions) {
    const device = `/sys/devices/platform/host${host}/session${sid}`
    const session = `${device}/iscsi_session/session${sid}`
    const connection = `${device}/connection${sid}:0/iscsi_connection/connection${sid}:0`
    links[`/sys/class/iscsi_session/session${sid}`] = session
    links[`/sys/class/iscsi_connection/connection${sid}:0`] = connection
    const attributes: Record<string, string> = {
      targetname: V1,
      state: 'LOGGED_IN',
      ifacename: 'default',
      target_id: '0',
      tpgt: '1',
      recovery_tmo: '5',
      username: '(null)',
      initiatorname: 'iqn.2026-01.test.lab:initiator',
      target_state: 'SCANNED',
      persistent_address: '10.0.1.1',
      persistent_port: '3260',
      address: '10.0.1.1',
      port: '3260',
      ...changes,
    }
    for (const [name, value] of Object.entries(attributes)) {
      const isConnection = /address|port/.test(name)
      if (value !== '') files[`${isConnection ? connection : session}/${name}`] = `${value}\n`
    }
  }
  return createMemoryFiles({ files, links })
}

const FIRST: IscsiSession = {
  sid: 1,
  target: V1,
  host: 2,
  channel: 0,
  targetId: 0,
  iface: 'default',
  state: 'logged-in',
  rawState: 'LOGGED_IN',
  persistentPortal: portal('10.0.1.1'),
  currentPortal: portal('10.0.1.1'),
  tpgt: 1,
  recoveryTimeoutS: 5,
}

describe('sessions', () => {
  it('are none without the iSCSI modules', async () => {
    expect(await readSessions(createMemoryFiles())).toEqual([])
  })

  it('are read from sysfs, by number', async () => {
    const files = sysfs(
      { sid: '10', host: '11', targetname: V2 },
      { sid: '1' },
      { sid: '2', host: '3', persistent_address: '10.0.2.1', address: '10.0.2.1' }
    )
    expect(await readSessions(files)).toEqual([
      FIRST,
      { ...FIRST, sid: 2, host: 3, persistentPortal: portal('10.0.2.1'), currentPortal: portal('10.0.2.1') },
      { ...FIRST, sid: 10, host: 11, target: V2 },
    ])
  })

  it('can be asked for by target, whatever case the kernel keeps', async () => {
    const files = sysfs(
      { sid: '1', targetname: V1.toUpperCase() },
      { sid: '2', targetname: V2 },
      { sid: '3', targetname: `${V1}2` }
    )
    expect((await readSessions(files, { target: V1 })).map(({ sid }) => sid)).toEqual([1])
  })

  it.each([
    ['LOGGED_IN', 'logged-in'],
    ['FAILED', 'failed'],
    ['FREE', 'free'],
    ['SOMETHING_NEW', 'unknown'],
  ])('in state %s are %s', async (rawState, state) => {
    expect(await readSessions(sysfs({ state: rawState }))).toMatchObject([{ state, rawState }])
  })

  it('tell the portal asked for from the one an array sent us to', async () => {
    const files = sysfs({ persistent_address: 'FD00::1', address: '10.0.1.77', port: '3261' })
    expect(await readSessions(files)).toMatchObject([
      { persistentPortal: { host: 'fd00::1', port: 3260 }, currentPortal: { host: '10.0.1.77', port: 3261 } },
    ])
  })

  it('have no current portal and timeout while the kernel knows none', async () => {
    const [session] = await readSessions(
      sysfs({ address: '(null)', recovery_tmo: '4294967295', tpgt: '-1', ifacename: '' })
    )
    expect(session).toEqual({ ...FIRST, currentPortal: undefined, recoveryTimeoutS: undefined, tpgt: undefined })
  })

  it('without a target are left out: they are just coming or going', async () => {
    expect((await readSessions(sysfs({ targetname: '' }, { sid: '2', host: '3' }))).map(({ sid }) => sid)).toEqual([2])
    expect(await readSessions(sysfs({ targetname: '(null)' }))).toEqual([])
  })

  it.each([
    ['state', { state: 'unknown', rawState: undefined }],
    ['target_id', { state: 'unknown', targetId: undefined }],
    ['persistent_address', { persistentPortal: undefined }],
    ['persistent_port', { persistentPortal: undefined }],
  ])('without %s are there, and not to be used', async (name, known) => {
    for (const nothing of ['', '(null)']) {
      const [session] = await readSessions(sysfs({ [name]: nothing }))
      expect(session).toEqual({ ...FIRST, ...known })
      expect(session === undefined || isUsableSession(session)).toBe(false)
    }
    expect(isUsableSession(FIRST)).toBe(true)
  })

  it.each(['-1', '4294967295'])('with target_id %s are unbound, whatever their state', async target_id => {
    const session = { ...FIRST, state: 'unbound', targetId: undefined }
    expect(await readSessions(sysfs({ target_id }))).toEqual([session])
    expect(await hasSession(sysfs({ target_id }), 1)).toBe(true)
    // It has its number until its devices are gone.
    const busy = sysfs({ target_id })
    const below: Readonly<Record<string, readonly string[]>> = {
      '/sys/devices/platform/host2/session1': ['connection1:0', 'power', 'target2:0:7'],
      '/sys/devices/platform/host2/session1/target2:0:7': ['2:0:7:0', 'power'],
    }
    const list: Files['list'] = async path => below[path] ?? (await busy.list(path))
    expect(await readSessions({ ...busy, list })).toEqual([{ ...session, targetId: 7 }])
  })

  it('whose link is gone are left out', async () => {
    const files = sysfs({ sid: '1' })
    expect(await readSessions({ ...files, realpath: async () => undefined })).toEqual([])
  })

  it('survive what a connection without socket answers', async () => {
    const files = sysfs({ sid: '1' })
    const enotconn: Files['read'] = async path => {
      if (/connection1:0\/(address|port)$/.test(path)) throw Object.assign(new Error('ENOTCONN'), { code: 'ENOTCONN' })
      return await files.read(path)
    }
    expect(await readSessions({ ...files, read: enotconn })).toEqual([{ ...FIRST, currentPortal: undefined }])
  })

  it('are usable or say what they lack, whatever sysfs holds', async () => {
    const value = fc.oneof(
      fc.constantFrom('', '(null)', '0', '-1', '4294967295', V1, 'LOGGED_IN', '10.0.0.1'),
      fc.string()
    )
    const names = [
      'targetname',
      'state',
      'ifacename',
      'target_id',
      'tpgt',
      'persistent_address',
      'persistent_port',
      'address',
    ]
    const session = fc.dictionary(fc.constantFrom(...names), value)
    await fc.assert(
      fc.asyncProperty(session, async changes => {
        for (const found of await readSessions(sysfs(changes))) {
          expect(found.target).toMatch(/^(iqn|eui|naa)\./)
          if (!isUsableSession(found)) continue
          expect([found.host, found.targetId, found.persistentPortal.port].every(Number.isSafeInteger)).toBe(true)
          expect(found.persistentPortal.host).not.toBe('')
        }
      })
    )
  })
})
