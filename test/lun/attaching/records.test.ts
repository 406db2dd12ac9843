import { describe, expect, test } from 'vitest'
import { attachLun, createIscsiadm, createNodeDb, detachLun, iqn, type LunEvent, portal, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { exploreCrashes } from '../../simulation/exploration/crashes.ts'
import { address, attach, createDom0, rejection, target } from '../helpers.ts'

/** Settings of the target's records, by address. */
async function settingsOf({ host }: SimulatedDom0): Promise<Readonly<Record<string, string | undefined>>> {
  const { records } = await createNodeDb(host).recordsOf(iqn(target))
  const texts = await Promise.all(
    records.map(async record => [record.portal.host, await host.files.read(record.path)] as const)
  )
  return Object.fromEntries(texts)
}

const OURS = [
  'node.startup = manual',
  'node.conn[0].startup = manual',
  'node.session.scan = manual',
  'node.session.initial_login_retry_max = 1',
  'node.conn[0].timeo.login_timeout = 5',
]

test('records of ours do not log in at boot, do not scan, and try once, for a bounded time', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  const settings = await settingsOf(dom0)
  expect(Object.keys(settings)).toHaveLength(2)
  for (const text of Object.values(settings)) for (const line of OURS) expect(text).toContain(`${line}\n`)
})

test('a record that was there keeps its startup, does not scan, and is as before when the attach fails', async () => {
  const dom0 = createDom0()
  const iscsiadm = createIscsiadm(dom0.host)
  const endpoint = { target: iqn(target), portal: portal(dom0.san.portals[0]) }
  await iscsiadm.createRecord(endpoint)
  await iscsiadm.updateRecords(endpoint, { 'node.startup': 'automatic', 'node.session.scan': 'auto' })
  const before = await settingsOf(dom0)
  const request = { ...address, portals: dom0.san.portals, expected: { serial: 'another' } }
  expect(await rejection(attachLun(request, dom0))).toMatchObject({ code: 'LUN_MISMATCH' })
  expect(await settingsOf(dom0)).toEqual(before)

  const lun = await attach(dom0)
  const text = (await settingsOf(dom0))['10.0.1.1']
  expect(text).toContain('node.startup = automatic\n')
  expect(text).toContain('node.session.scan = manual\n')
  await lun.detach()
  expect(Object.keys(await settingsOf(dom0))).toEqual(['10.0.1.1'])
})

/** What a record says, by name. */
async function readRecord({ host }: SimulatedDom0, path: string): Promise<Readonly<Record<string, string>>> {
  const lines = ((await host.files.read(path)) ?? '').split('\n').map(line => line.split(' = '))
  return Object.fromEntries(lines.flatMap(([name = '', value]) => (value === undefined ? [] : [[name, value]])))
}

/** A record of somebody else's, who logs in by it at boot, with credentials of his own. */
async function plantOther(dom0: SimulatedDom0): Promise<string> {
  const [at] = dom0.san.portals
  const path = dom0.plantRecord({ target, portal: at })
  const auth = { 'node.session.auth.username': 'host', 'node.session.auth.password': 'hosts-secret-1' }
  await createNodeDb(dom0.host).update({ path }, { 'node.startup': 'automatic', ...auth })
  return path
}

const chap = { username: 'guest', password: 'guests-secret-1' }
const first = (dom0: SimulatedDom0) => ({ ...address, portals: dom0.san.portals.slice(0, 1) })
const NOTES = `/var/lib/xen-lun/records/${target}.json`

describe('what an attach changed in a record that was there', () => {
  test('is as it was when the last LUN of the target is gone', async () => {
    const dom0 = createDom0()
    await dom0.san.setChap(target, chap)
    const path = await plantOther(dom0)
    const before = await readRecord(dom0, path)
    const warnings: string[] = []
    const onEvent = (event: LunEvent): void => void (event.type === 'warning' && warnings.push(event.message))
    await attachLun({ ...first(dom0), chap }, { ...dom0, onEvent })
    expect(warnings).toEqual([expect.stringContaining(`${path} has node.startup automatic`)])
    expect(await readRecord(dom0, path)).toMatchObject({
      'node.session.scan': 'manual',
      'node.session.auth.username': 'guest',
      'node.session.auth.password': 'guests-secret-1',
    })
    await attachLun({ ...first(dom0), lun: 1, chap, loginTimeoutMs: 10_000 }, dom0)
    expect(dom0.state().journal).toContain(NOTES)
    expect((await dom0.host.files.stat(NOTES))?.mode).toBe(0o600)
    await detachLun(address, dom0)
    expect(await readRecord(dom0, path)).not.toEqual(before)
    await detachLun({ target, lun: 1 }, dom0)
    expect(await readRecord(dom0, path)).toEqual(before)
    expect(dom0.state()).toMatchObject({ journal: [], records: [path], sessions: [] })
  })

  test('keeps what somebody else changed meanwhile', async () => {
    const dom0 = createDom0()
    const path = await plantOther(dom0)
    const before = await readRecord(dom0, path)
    const lun = await attachLun(first(dom0), dom0)
    await createNodeDb(dom0.host).update({ path }, { 'node.conn[0].timeo.login_timeout': '77' })
    await lun.detach()
    expect(await readRecord(dom0, path)).toEqual({ ...before, 'node.conn[0].timeo.login_timeout': '77' })
  })

  test('is put back beside a session of somebody else, and our own record goes', async () => {
    const dom0 = createDom0()
    const [one, two] = dom0.san.portals
    const path = await plantOther(dom0)
    const before = await readRecord(dom0, path)
    const root = dom0.plantRecord({ target, portal: '10.0.3.1:3260' })
    const { id } = dom0.addSession({ target, portal: '10.0.3.1:3260', isScanned: false })
    await attachLun({ ...address, portals: [one, two] }, dom0)
    expect(dom0.state().records).toHaveLength(3)
    await detachLun(address, dom0)
    expect(await readRecord(dom0, path)).toEqual(before)
    const { sessions, records, journal } = dom0.state()
    expect([sessions.map(session => session.id), records, journal]).toEqual([[id], [path, root], []])
    expect((await reconcile(dom0)).actions).toEqual([])
  })

  test('is put back by reconcile after a boot, and a login then brings the host its own LUNs', async () => {
    const dom0 = createDom0()
    const path = await plantOther(dom0)
    const before = await readRecord(dom0, path)
    await attachLun(first(dom0), dom0)
    await dom0.reboot()
    expect((await reconcile({ ...dom0, apply: true })).failed).toEqual([])
    expect(await readRecord(dom0, path)).toEqual(before)
    expect(dom0.state()).toMatchObject({ journal: [], records: [path] })
    await createIscsiadm(dom0.host).login({ target: iqn(target) })
    await dom0.host.clock.sleep(3000)
    expect(dom0.state().disks.map(({ lun }) => lun)).toEqual([0, 1])
  })

  test('whatever the moment a process dies, is put back by the next who leaves', { timeout: 60_000 }, async () => {
    const expected = 'node.session.auth.password = hosts-secret-1\n'
    const outcomes = await exploreCrashes({
      dom0: { volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' }, chap }] },
      before: async (_, dom0) => await plantOther(dom0),
      doomed: async (host, dom0) => {
        const lun = await attachLun({ ...first(dom0), chap }, { host })
        await lun.detach()
      },
      next: async (host, dom0) => {
        const { failed } = await reconcile({ host, apply: true })
        expect(failed).toEqual([])
        await detachLun(address, { host })
        expect((await reconcile({ host })).actions).toEqual([])
        const [path = '', ...others] = dom0.state().records
        const text = await host.files.read(path)
        expect([others, text?.includes(expected), text?.includes('guest')]).toEqual([[], true, false])
        expect(await readRecord(dom0, path)).toMatchObject({ 'node.session.scan': 'auto', 'node.startup': 'automatic' })
        await host.files.remove(path)
      },
    })
    expect(outcomes.length).toBeGreaterThan(20)
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  })
})

describe('the discovery record of somebody else', () => {
  const folder = '/var/lib/iscsi/send_targets/10.0.1.1,3260'
  const path = `${folder}/st_config`
  const secret = 'discovery.sendtargets.auth.password = hosts-secret-1\n'
  const text = [
    '# BEGIN RECORD 2.1.11',
    'discovery.startup = manual',
    'discovery.type = sendtargets',
    'discovery.sendtargets.address = 10.0.1.1',
    'discovery.sendtargets.port = 3260',
    'discovery.sendtargets.auth.username = host',
    `${secret}# END RECORD\n`,
  ].join('\n')
  const discovery = '10.0.1.1:3260'

  test('has his credentials again, whatever the moment a process dies', { timeout: 60_000 }, async () => {
    const outcomes = await exploreCrashes({
      dom0: { volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' }, chap }] },
      before: async (_, dom0) => dom0.plant(path, { kind: 'file', text, mode: 0o600 }),
      doomed: async host => await attachLun({ ...address, discovery, chap }, { host }),
      next: async host => {
        await detachLun(address, { host })
        expect(await host.files.read(path)).toContain(secret)
        expect(await host.files.read(path)).not.toContain('guest')
        expect((await reconcile({ host, apply: true })).failed).toEqual([])
        await host.files.remove(path)
      },
    })
    expect(outcomes.length).toBeGreaterThan(20)
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  })

  test('that cannot be read is not made anew', async () => {
    const dom0 = createDom0()
    await dom0.san.setChap(target, chap)
    dom0.plant(path, { kind: 'file', text: text.slice(0, 90), mode: 0o600 })
    const request = { ...address, discovery, chap }
    expect(await rejection(attachLun(request, dom0))).toMatchObject({ code: 'NODE_RECORD_BROKEN', details: { path } })
    expect(await dom0.host.files.read(path)).toBe(text.slice(0, 90))
    expect(dom0.state()).toMatchObject({ journal: [], sessions: [] })
  })
})

describe('a login to all portals of a target at once is only made', () => {
  const whole = new RegExp(`^iscsiadm -m node -T ${target} --login`)
  const loginsOf = ({ started }: SimulatedDom0): readonly string[] => started.filter(line => line.includes('--login'))

  test('where every record is one of those asked for', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    expect(loginsOf(dom0)).toEqual([expect.stringMatching(whole)])
  })

  test.each([
    ['whose portal has a zone', { portal: '[fe80::200:5eff:fe00:5301%eth1]:3260' }],
    ['whose portal has a name that DNS would not have', { portal: 'san_1.example.lan:3260' }],
    ['that is damaged', { portal: '10.0.9.1:3260', text: '# BEGIN RECORD 2.1.11\nnode.na' }],
    ['that is empty', { portal: '10.0.9.1:3260', text: '' }],
  ])('and not beside one %s', async (_, record) => {
    const dom0 = createDom0()
    const path = dom0.plantRecord({ target, ...record })
    const before = await dom0.host.files.read(path)
    await attach(dom0)
    expect(loginsOf(dom0)).toHaveLength(2)
    for (const line of loginsOf(dom0)) expect(line).not.toMatch(whole)
    expect(dom0.state().sessions).toHaveLength(2)
    expect(dom0.state().disks.every(({ lun }) => lun === 0)).toBe(true)
    await detachLun(address, dom0)
    expect([dom0.state().records, await dom0.host.files.read(path)]).toEqual([[path], before])
    expect(dom0.state()).toMatchObject({ sessions: [], disks: [], maps: [], wwids: [], journal: [] })
  })
})

test('of two records of one portal both are made ready, with credentials, and both are as before afterwards', async () => {
  const dom0 = createDom0()
  await dom0.san.setChap(target, chap)
  const paths = [1, 2].map(tpgt => dom0.plantRecord({ target, portal: dom0.san.portals[0], tpgt }))
  const before = await Promise.all(paths.map(async path => await readRecord(dom0, path)))
  const lun = await attachLun({ ...address, portals: dom0.san.portals, chap }, dom0)
  expect(dom0.started.filter(line => line.includes('--login'))).toHaveLength(2)
  for (const path of paths) {
    const ready = { 'node.session.scan': 'manual', 'node.session.auth.username': 'guest' }
    expect(await readRecord(dom0, path)).toMatchObject(ready)
  }
  expect(dom0.state().disks.map(({ lun: number }) => number)).toEqual([0, 0])
  await lun.detach()
  expect(await Promise.all(paths.map(async path => await readRecord(dom0, path)))).toEqual(before)
  expect(dom0.state()).toMatchObject({ sessions: [], disks: [], journal: [] })
})

test('a record that cannot be read is not made anew, since that would destroy it', async () => {
  const dom0 = createDom0()
  const text = '# BEGIN RECORD 2.1.11\nnode.na'
  const path = dom0.plantRecord({ target, portal: dom0.san.portals[0], text })
  expect(await rejection(attach(dom0))).toMatchObject({ code: 'NODE_RECORD_BROKEN', details: { path } })
  expect(await dom0.host.files.read(path)).toBe(text)
  expect(dom0.state()).toMatchObject({ records: [path], sessions: [], journal: [] })
})

test('an empty record, which says nothing, is made anew', async () => {
  const dom0 = createDom0()
  dom0.plantRecord({ target, portal: dom0.san.portals[0], text: '' })
  const lun = await attach(dom0)
  expect(lun.isDegraded).toBe(false)
  await lun.detach()
  expect(dom0.leftovers()).toEqual([])
})

test('a record without a last line break is a record', async () => {
  const dom0 = createDom0()
  const path = dom0.plantRecord({ target, portal: dom0.san.portals[0] })
  const text = ((await dom0.host.files.read(path)) ?? '').trimEnd()
  await dom0.host.files.replace(path, text, 0o600)
  const { records, broken } = await createNodeDb(dom0.host).records()
  expect([records.map(record => record.path), broken]).toEqual([[path], []])
  await (await attach(dom0)).detach()
  expect((await dom0.host.files.read(path))?.trimEnd()).toBe(text)
})

describe('a draft of a record, with its secrets,', () => {
  const drafts = ['.10.0.1.1,3260.draft', '.st_config.draft', '.default.draft'].map(name => `/var/lib/iscsi/${name}`)
  const plantDrafts = (dom0: SimulatedDom0): void => {
    for (const path of drafts)
      dom0.plant(path, { kind: 'file', text: 'node.session.auth.password = hush', mode: 0o600 })
  }

  test.each<readonly [string, (dom0: SimulatedDom0) => Promise<unknown>]>([
    ['an attach', async dom0 => await attach(dom0)],
    ['a detach', async dom0 => await detachLun(address, dom0)],
    ['reconcile', async dom0 => await reconcile({ ...dom0, apply: true })],
  ])('is removed by %s', async (_, act) => {
    const dom0 = createDom0()
    plantDrafts(dom0)
    await act(dom0)
    expect(dom0.state().drafts).toBeUndefined()
  })

  test('is what reconcile says it will remove, unless somebody may be writing it', async () => {
    const dom0 = createDom0()
    plantDrafts(dom0)
    const { actions } = await reconcile(dom0)
    expect(actions.map(action => action.kind === 'discard' && action.path)).toEqual([...drafts].toSorted())
    dom0.plant('/run/lock/iscsi/lock.write', { kind: 'file' })
    expect((await reconcile(dom0)).actions).toEqual([])
  })

  test('of a living writer stays his', async () => {
    const dom0 = createDom0()
    const path = dom0.plantRecord({ target, portal: dom0.san.portals[0] })
    const writer = createNodeDb(dom0.startUser().host)
    const onChange = async (): Promise<void> => {
      plantDrafts(dom0)
      await dom0.host.clock.sleep(2000)
      expect(dom0.state().drafts).toHaveLength(drafts.length)
    }
    const writing = writer.update({ path }, { 'node.session.scan': 'manual' }, { onChange })
    await dom0.host.clock.sleep(500)
    await createNodeDb(dom0.host).removeDrafts()
    await writing
    expect(dom0.state().drafts).toBeUndefined()
  })
})
