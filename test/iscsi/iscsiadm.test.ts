import { describe, expect, it } from 'vitest'
import { portal } from '../../src/core/portal.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Command, CommandResult } from '../../src/host/command.ts'
import type { Executor } from '../../src/host/executor.ts'
import { createIscsiadm, type Iscsiadm } from '../../src/iscsi/iscsiadm.ts'
import { failureOf, fixture, NOBODY, recordText, replay, type TestHost, testHost, V1, V2, V3 } from './fixtures.ts'

const P1 = portal('10.0.1.1')
const ROOT = '/var/lib/iscsi'
const HUSH = 'hush-hush-hush'
const ONE = { target: V1, portal: P1 }

function client(
  cassette: string,
  files: Readonly<Record<string, string>> = {}
): TestHost & { readonly iscsiadm: Iscsiadm } {
  const host = testHost(replay(cassette), files)
  return { ...host, iscsiadm: createIscsiadm(host) }
}

/** Answers one command after the other; what a command does to the files is up to `act`. */
function scripted(answers: readonly Partial<CommandResult>[], act?: (args: string) => unknown) {
  const queue = [...answers]
  const commands: { readonly command: Command<unknown>; readonly signal: AbortSignal | undefined }[] = []
  const executor: Executor = {
    exec: async (command, options) => {
      commands.push({ command, signal: options?.signal })
      await act?.(command.args.join(' '))
      return { exitCode: 0, stdout: '', stderr: '', ...(queue.length > 1 ? queue.shift() : queue[0]) }
    },
  }
  return { executor, commands, calls: () => commands.map(({ command }) => command.args.join(' ')) }
}

describe('discovery', () => {
  it('answers who listens where, and leaves nothing behind', async () => {
    const { iscsiadm, executor } = client('discovery')
    const offers = await iscsiadm.discover({ portal: P1 })
    expect(offers).toHaveLength(8)
    expect(offers[0]).toEqual({ target: V1, portal: P1, tpgt: 1 })
    expect(executor.calls).toEqual(['iscsiadm -m discovery -t st -p 10.0.1.1:3260 -o nonpersistent'])
  })

  it('records what it finds if told to, and goes through interfaces', async () => {
    const { iscsiadm, executor } = client('discovery')
    await iscsiadm.discover({ portal: P1, persistent: true })
    await iscsiadm.discover({ portal: P1, ifaces: ['eth1', 'eth2'] })
    expect(executor.calls).toEqual([
      'iscsiadm -m discovery -t st -p 10.0.1.1:3260',
      'iscsiadm -m discovery -t st -p 10.0.1.1:3260 -I eth1 -I eth2 -o nonpersistent',
    ])
  })

  it('says why it failed', async () => {
    const { iscsiadm } = client('discovery')
    const refused = await failureOf(iscsiadm.discover({ portal: portal('10.0.1.1:3261') }), 'ISCSI_PORTAL_UNREACHABLE')
    expect(refused.details).toEqual({ target: undefined, portal: '10.0.1.1:3261', exitName: 'pduTimeout' })
    await failureOf(iscsiadm.discover({ portal: portal('10.0.9.1') }), 'ISCSID_NOT_RUNNING')
  })

  it('asks one portal one question at a time, and again when somebody else cut the session', async () => {
    const { executor, calls } = scripted([{ exitCode: 11 }, { exitCode: 11 }, {}, {}])
    const host = testHost()
    const iscsiadm = createIscsiadm({ ...host, executor })
    expect(await Promise.all([iscsiadm.discover({ portal: P1 }), iscsiadm.discover({ portal: P1 })])).toEqual([[], []])
    expect(calls()).toHaveLength(4)
    expect(host.locks.held).toEqual(['discovery 10.0.1.1:3260', 'discovery 10.0.1.1:3260'])
  })

  it('does not ask again a portal that was silent for long', async () => {
    const host = testHost()
    const { executor, calls } = scripted([{ exitCode: 11 }, {}], async () => await host.clock.sleep(5000))
    const asked = createIscsiadm({ ...host, executor }).discover({ portal: P1 })
    await failureOf(asked, 'ISCSI_PORTAL_UNREACHABLE')
    expect(calls()).toHaveLength(1)
  })

  it('ends iscsiadm on an abort', async () => {
    const { executor, commands } = scripted([{}])
    const { signal } = new AbortController()
    await createIscsiadm({ ...testHost(), executor }).discover({ portal: P1 }, { signal })
    expect(commands[0]?.signal).toBe(signal)
  })
})

describe('discovery with CHAP', () => {
  const chap = { username: 'dom0', password: new Secret(HUSH) }
  const RECORD = `${ROOT}/send_targets/10.0.1.1,3260/st_config`
  const CALLS = [
    'iscsiadm -m discoverydb -t st -p 10.0.1.1:3260 -o new',
    'iscsiadm -m discoverydb -t st -p 10.0.1.1:3260 -o nonpersistent --discover',
  ]

  function world(discovery: Partial<CommandResult> = {}) {
    const host = testHost(replay('chap'))
    const seen: (string | undefined)[] = []
    const executor: Executor = {
      exec: async (command, options) => {
        const answer = await host.executor.exec(command, options)
        if (command.args.includes('new')) host.files.contents.set(RECORD, fixture('discovery-record.conf'))
        if (!command.args.includes('--discover')) return answer
        seen.push(host.files.contents.get(RECORD))
        return { ...answer, ...discovery }
      },
    }
    return { ...host, seen, calls: host.executor.calls, iscsiadm: createIscsiadm({ ...host, executor }) }
  }

  it('goes through a record of its own, deleted afterwards', async () => {
    const { iscsiadm, calls, seen, files } = world()
    expect(await iscsiadm.discover({ portal: P1, chap })).toHaveLength(8)
    expect(calls).toEqual(CALLS)
    expect(seen[0]).toContain('discovery.sendtargets.auth.authmethod = CHAP\n')
    expect(seen[0]).toContain(`discovery.sendtargets.auth.password = ${HUSH}\n`)
    expect(files.contents.has(RECORD)).toBe(false)
  })

  it('puts back a record that was there', async () => {
    const { iscsiadm, calls, seen, files } = world()
    const before = fixture('discovery-record.conf').replace('# END', 'discovery.sendtargets.auth.username = old\n# END')
    files.contents.set(RECORD, before)
    await iscsiadm.discover({ portal: P1, chap })
    expect(calls).toEqual([CALLS[1]])
    expect(seen[0]).toContain(HUSH)
    expect(files.contents.get(RECORD)).toBe(before)
  })

  it('cleans up when it fails, and keeps the secret out of everything', async () => {
    const { iscsiadm, calls, files } = world({ exitCode: 24, stdout: '', stderr: 'iscsiadm: authorization failure' })
    const error = await failureOf(iscsiadm.discover({ portal: P1, chap }), 'ISCSI_AUTH_FAILED')
    expect(error.details.portal).toBe('10.0.1.1:3260')
    expect(files.contents.has(RECORD)).toBe(false)
    expect(JSON.stringify([calls, error.message, error.details, error.stack])).not.toContain(HUSH)
  })

  it('keeps record and credentials if what is found is to be kept', async () => {
    const { executor } = scripted([{}])
    const host = testHost(undefined, { [RECORD]: fixture('discovery-record.conf') })
    await createIscsiadm({ ...host, executor }).discover({ portal: P1, chap, persistent: true })
    expect(host.files.contents.get(RECORD)).toContain(HUSH)
  })

  it('says so when open-iscsi makes no record', async () => {
    const { executor, calls } = scripted([{}])
    await failureOf(createIscsiadm({ ...testHost(), executor }).discover({ portal: P1, chap }), 'ISCSI_NO_RECORD')
    expect(calls()).toEqual([CALLS[0]?.slice('iscsiadm '.length)])
  })

  it('with bad credentials starts nothing', async () => {
    const { iscsiadm, calls } = world()
    await failureOf(
      iscsiadm.discover({ portal: P1, chap: { username: '', password: new Secret('x') } }),
      'INVALID_INPUT'
    )
    expect(calls).toEqual([])
  })
})

describe('node records', () => {
  it('are listed; none is no error, a damaged one is', async () => {
    const { iscsiadm } = client('node')
    expect(await iscsiadm.nodes()).toHaveLength(8)
    expect(await iscsiadm.nodes()).toEqual([])
    expect((await failureOf(iscsiadm.nodes(), 'ISCSI_DB_BROKEN')).details.stderr).toContain('10.0.1.1,3260 invalid')
  })

  it('are shown, without secrets', async () => {
    const { iscsiadm } = client('node')
    const [config] = await iscsiadm.showRecords(ONE)
    expect(config).toMatchObject({
      target: V1,
      portal: P1,
      tpgt: 1,
      iface: 'default',
      startup: 'manual',
      loginRetries: 8,
    })
    expect(await iscsiadm.showRecords({ target: NOBODY })).toEqual([])
    const [chap] = await iscsiadm.showRecords({ target: V3, portal: P1 })
    expect(chap).toMatchObject({ authMethod: 'CHAP', username: 'chapuser' })
    expect([...(chap?.settings.keys() ?? [])].filter(name => name.includes('password'))).toEqual([])
  })

  it('are updated in one call, or refused', async () => {
    const { iscsiadm, executor } = client('node')
    await iscsiadm.updateRecords(ONE, { 'node.startup': 'manual', 'node.session.scan': 'manual' })
    const bad = await failureOf(iscsiadm.updateRecords({ target: V1 }, { 'node.bogus': '1' }), 'ISCSI_FAILED')
    expect(bad.details).toMatchObject({ exitName: 'invalid', exitCode: 7 })
    const none = await failureOf(
      iscsiadm.updateRecords({ target: NOBODY }, { 'node.startup': 'manual' }),
      'ISCSI_NO_RECORD'
    )
    expect(none.details).toEqual({ target: NOBODY, portal: undefined })
    expect(executor.calls).toHaveLength(3)
    await failureOf(iscsiadm.updateRecords(ONE, { 'node.session.auth.password': HUSH }), 'INVALID_INPUT')
    expect(executor.calls).toHaveLength(3)
  })

  it('are deleted once', async () => {
    const { iscsiadm } = client('node')
    expect(await iscsiadm.deleteRecords(ONE)).toBe(true)
    expect(await iscsiadm.deleteRecords(ONE)).toBe(false)
  })

  it('are not interrupted: a killed iscsiadm leaves the database locked', async () => {
    const { executor, commands } = scripted([{}])
    const iscsiadm = createIscsiadm({ ...testHost(), executor })
    const { signal } = new AbortController()
    await iscsiadm.updateRecords(ONE, { 'node.startup': 'manual' }, { signal })
    expect(commands[0]?.signal).toBeUndefined()
    expect(commands[0]?.command.timeoutMs).toBeGreaterThan(61_000)
    const reason = new Error('enough')
    await expect(iscsiadm.deleteRecords(ONE, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(iscsiadm.createRecord(ONE, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(commands).toHaveLength(1)
  })
})

describe('creating a node record', () => {
  const FILE = `${ROOT}/nodes/${V1}/10.0.1.1,3260`
  const record = (values: Readonly<Record<string, string>> = {}): string =>
    recordText({ 'node.conn[0].address': '10.0.1.1', 'node.tpgt': '-1', ...values })

  it('names the interface', async () => {
    const { iscsiadm, executor } = client('node')
    expect(await iscsiadm.createRecord(ONE)).toBe('created')
    expect(executor.calls).toEqual([`iscsiadm -m node -T ${V1} -p 10.0.1.1:3260 -I default -o new`])
  })

  it('leaves one that exists alone: open-iscsi would reset it', async () => {
    const { iscsiadm, executor } = client('node', { [FILE]: record() })
    expect(await iscsiadm.createRecord(ONE)).toBe('exists')
    expect(executor.calls).toEqual([])
  })

  it('replaces no record of another interface', async () => {
    const { iscsiadm, executor } = client('node', { [FILE]: record() })
    const error = await failureOf(iscsiadm.createRecord({ ...ONE, iface: 'eth1', tpgt: 1 }), 'INVALID_INPUT')
    expect(error.details.field).toBe('iface')
    expect(executor.calls).toEqual([])
  })

  it('puts interfaces side by side where the tpgt is known', async () => {
    const host = testHost(undefined, { [`${FILE},1/default`]: record({ 'node.tpgt': '1' }) })
    const { executor, calls } = scripted([{}])
    expect(await createIscsiadm({ ...host, executor }).createRecord({ ...ONE, iface: 'eth1', tpgt: 1 })).toBe('created')
    expect(calls()).toEqual([`-m node -T ${V1} -p 10.0.1.1:3260,1 -I eth1 -o new`])
  })

  it('sees what the one before it made', async () => {
    const host = testHost()
    const { executor, calls } = scripted([{}], () => host.files.contents.set(FILE, record()))
    const iscsiadm = createIscsiadm({ ...host, executor })
    const outcomes = await Promise.allSettled([
      iscsiadm.createRecord(ONE),
      iscsiadm.createRecord({ ...ONE, iface: 'eth1' }),
      iscsiadm.createRecord(ONE),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[2]).toMatchObject({ value: 'exists' })
    expect(calls()).toHaveLength(1)
  })
})

describe('login', () => {
  it('tells a new session from one that was there', async () => {
    const { iscsiadm } = client('login')
    expect(await iscsiadm.login(ONE)).toBe('logged-in')
    expect(await iscsiadm.login(ONE)).toBe('already')
    expect(await iscsiadm.login({ target: V1 })).toBe('already')
  })

  it('says why it failed', async () => {
    const { iscsiadm } = client('login')
    await failureOf(iscsiadm.login({ target: NOBODY }), 'ISCSI_NO_RECORD')
    await failureOf(iscsiadm.login({ target: V2 }), 'ISCSID_NOT_RUNNING')
    const auth = await failureOf(iscsiadm.login({ target: V3, portal: P1 }), 'ISCSI_AUTH_FAILED')
    expect(auth.message).toBe(`10.0.1.1:3260 refused the credentials for ${V3}`)
    const dead = await failureOf(iscsiadm.login({ target: V2, portal: portal('10.0.2.1') }), 'ISCSI_PORTAL_UNREACHABLE')
    expect(dead.details).toEqual({ target: V2, portal: '10.0.2.1:3260', exitName: 'transportTimeout' })
  })

  it('is tried once: only a busy database is worth more', async () => {
    const { executor, calls } = scripted([{ exitCode: 8 }])
    await failureOf(createIscsiadm({ ...testHost(), executor }).login(ONE), 'ISCSI_PORTAL_UNREACHABLE')
    expect(calls()).toHaveLength(1)
  })

  it('takes its time limit and signal to the process', async () => {
    const { executor, commands } = scripted([{}])
    const { signal } = new AbortController()
    const iscsiadm = createIscsiadm({ ...testHost(), executor })
    await iscsiadm.login(ONE, { timeoutMs: 4321, signal })
    expect(commands).toMatchObject([{ command: { timeoutMs: 4321 }, signal }])
  })

  it('can be started without waiting', async () => {
    const { iscsiadm } = client('login')
    expect(await iscsiadm.startLogin({ ...ONE, iface: 'default' })).toBe('started')
  })
})

describe('logout and rescan', () => {
  it('by record say whether there was a session', async () => {
    const { iscsiadm } = client('login')
    expect(await iscsiadm.logout(ONE)).toBe('logged-out')
    expect(await iscsiadm.logout(ONE)).toBe('none')
    expect(await iscsiadm.rescanTarget({ target: V1 })).toBe(true)
    expect(await iscsiadm.rescanTarget({ target: NOBODY })).toBe(false)
  })

  it('believe iscsiadm that found no session though iscsid was dead: sessions() is the proof', async () => {
    expect(await client('login').iscsiadm.logout({ target: V1, portal: portal('10.0.2.1') })).toBe('none')
  })

  it('by session say whether it was there', async () => {
    const { iscsiadm } = client('session')
    expect(await iscsiadm.rescanSession(1)).toBe(true)
    expect(await iscsiadm.logoutSession(1)).toBe('logged-out')
    expect(await iscsiadm.rescanSession(7)).toBe(false)
    expect(await iscsiadm.logoutSession(7)).toBe('none')
    await failureOf(iscsiadm.logoutSession(-1), 'INVALID_INPUT')
    await failureOf(iscsiadm.rescanSession(1.5), 'INVALID_INPUT')
  })

  it('name the target of a session that does not log out', async () => {
    const { executor } = scripted([{ exitCode: 28 }])
    const session = '/sys/devices/platform/host2/session1/iscsi_session/session1'
    const connection = '/sys/class/iscsi_connection/connection1:0'
    const host = testHost(undefined, {
      [`${session}/targetname`]: V1,
      [`${session}/state`]: 'LOGGED_IN',
      [`${session}/target_id`]: '0',
      [`${connection}/persistent_address`]: '10.0.1.1',
      [`${connection}/persistent_port`]: '3260',
    })
    host.files.links.set('/sys/class/iscsi_session/session1', session)
    const iscsiadm = createIscsiadm({ ...host, executor })
    expect(await iscsiadm.sessions({ target: V1 })).toHaveLength(1)
    expect((await failureOf(iscsiadm.logoutSession(1), 'ISCSI_LOGOUT_FAILED')).details).toEqual({ target: V1, sid: 1 })
  })
})

describe('interfaces', () => {
  it('are made, changed and deleted, each once', async () => {
    const { iscsiadm, executor } = client('iface')
    expect(await iscsiadm.createIface('eth1')).toBe('created')
    await iscsiadm.updateIface('eth1', { 'iface.net_ifacename': 'eth1', 'iface.ipaddress': '10.0.0.5' })
    expect((await iscsiadm.ifaces())[0]).toEqual({
      name: 'eth1',
      transport: 'tcp',
      netdev: 'eth1',
      address: '10.0.0.5',
    })
    expect(await iscsiadm.deleteIface('eth1')).toBe(false) // the cassette's last listing has it no more
    expect(executor.calls).not.toContain('iscsiadm -m iface -I eth1 -o delete')
  })

  it('that exist are not made again, which would empty them', async () => {
    const { executor, calls } = scripted([{ stdout: 'eth1 tcp,<empty>,<empty>,<empty>,<empty>\n' }])
    const iscsiadm = createIscsiadm({ ...testHost(), executor })
    expect(await iscsiadm.createIface('eth1')).toBe('exists')
    expect(await iscsiadm.deleteIface('eth1')).toBe(true)
    expect(calls()).toEqual(['-m iface', '-m iface', '-m iface -I eth1 -o delete'])
  })

  it('that are built in are never deleted: iscsiadm would delete all their node records first', async () => {
    const { iscsiadm, executor } = client('iface')
    await failureOf(iscsiadm.deleteIface('default'), 'INVALID_INPUT')
    expect(executor.calls).toEqual([])
  })

  it('refused a setting although iscsiadm says 0', async () => {
    const { iscsiadm } = client('iface')
    const error = await failureOf(iscsiadm.updateIface('eth1', { 'iface.bogus': '1' }), 'ISCSI_FAILED')
    expect(error.details).toMatchObject({ exitCode: 0, exitName: 'success' })
    expect(error.message).toContain('Cannot modify iface.bogus')
  })
})

describe('a busy database', () => {
  const BUSY = { exitCode: 6, stderr: 'iscsiadm: Could not execute operation on all records' }

  it('is tried again for a moment', async () => {
    const { executor, calls } = scripted([BUSY, BUSY, {}])
    expect(await createIscsiadm({ ...testHost(), executor }).deleteRecords(ONE)).toBe(true)
    expect(calls()).toHaveLength(3)
  })

  it('that stays so is an error, soon', async () => {
    const host = testHost()
    const { executor, calls } = scripted([BUSY])
    await failureOf(createIscsiadm({ ...host, executor }).deleteRecords(ONE), 'ISCSI_DB_BUSY')
    expect(calls().length).toBeGreaterThan(2)
    expect(host.clock.now()).toBeLessThanOrEqual(3000)
  })

  it('whose stale lock iscsiadm waited for is free afterwards: one more try', async () => {
    const host = testHost()
    const clock = { ...host.clock, now: () => host.clock.now() + calls().length * 30_700 }
    const { executor, calls } = scripted([BUSY, {}])
    expect(await createIscsiadm({ ...host, executor, clock }).deleteRecords(ONE)).toBe(true)
    expect(calls()).toHaveLength(2)
    const stuck = scripted([BUSY])
    const slow = { ...host.clock, now: () => host.clock.now() + stuck.calls().length * 30_700 }
    await failureOf(createIscsiadm({ ...host, executor: stuck.executor, clock: slow }).nodes(), 'ISCSI_DB_BUSY')
    expect(stuck.calls()).toHaveLength(2)
  })
})
