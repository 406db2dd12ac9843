import { describe, expect, test } from 'vitest'
import { attachLun, createIscsiadm, createNodeDb, detachLun, iqn, type LunEvent, portal, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { exploreCrashes } from '../../simulation/exploration/crashes.ts'
import { address, attach, createDom0, target } from '../helpers.ts'

const at = '10.0.1.1:3260'
const FOLDER = `/var/lib/iscsi/nodes/${target}`
/** Where iscsiadm puts a record without a portal group tag. */
const OURS = `${FOLDER}/10.0.1.1,3260`
const NOTES = `/var/lib/xen-lun/records/${target}.json`

const first = ({ san }: SimulatedDom0) => ({ ...address, portals: san.portals.slice(0, 1) })

/** Detaches, and answers what was told. */
async function detach({ host }: SimulatedDom0): Promise<readonly string[]> {
  const warnings: string[] = []
  const onEvent = (event: LunEvent): void => void (event.type === 'warning' && warnings.push(event.message))
  await detachLun(address, { host, onEvent })
  return warnings
}

const noticesOf = async (dom0: SimulatedDom0): Promise<readonly string[]> =>
  (await reconcile(dom0)).notices.flatMap(({ kind, subject }) => (String(kind) === 'foreign-record' ? [subject] : []))

describe('a node record that the administrator makes while a LUN is attached stays when the target is left:', () => {
  test('beside ours, of another portal group tag', async () => {
    const dom0 = createDom0()
    await attachLun(first(dom0), dom0)
    const path = dom0.plantRecord({ target, portal: at, tpgt: 1 })
    const text = await dom0.host.files.read(path)
    expect(await detach(dom0)).toEqual([])
    expect(dom0.state()).toMatchObject({ records: [path], journal: [], sessions: [] })
    expect(await dom0.host.files.read(path)).toBe(text)
  })

  test('beside ours, by a discovery', async () => {
    const dom0 = createDom0()
    await attachLun(first(dom0), dom0)
    await createIscsiadm(dom0.host).discover({ portal: portal(at), persistent: true })
    const paths = ['10.0.1.1,3260,1', '10.0.2.1,3260,1'].map(name => `${FOLDER}/${name}/default`)
    await detach(dom0)
    expect(dom0.state()).toMatchObject({ records: paths, journal: [] })
  })

  test('in the place of ours, by hand', async () => {
    const dom0 = createDom0()
    const iscsiadm = createIscsiadm(dom0.host)
    await attachLun(first(dom0), dom0)
    await dom0.host.files.remove(OURS)
    await iscsiadm.createRecord({ target: iqn(target), portal: portal(at) })
    const text = await dom0.host.files.read(OURS)
    expect(await noticesOf(dom0)).toEqual([OURS])
    expect(await detach(dom0)).toEqual([expect.stringContaining(`${OURS} stays`)])
    expect(dom0.state()).toMatchObject({ records: [OURS], journal: [] })
    expect(await dom0.host.files.read(OURS)).toBe(text)
    expect(await noticesOf(dom0)).toEqual([])
  })

  test('in the place of ours, and changed since by an attach, with what he had in it', async () => {
    const dom0 = createDom0()
    await attachLun(first(dom0), dom0)
    await dom0.host.files.remove(OURS)
    dom0.plantRecord({ target, portal: at })
    await createNodeDb(dom0.host).update({ path: OURS }, { 'node.startup': 'automatic' })
    const text = await dom0.host.files.read(OURS)
    for (const { id } of dom0.state().sessions) await createIscsiadm(dom0.host).logoutSession(id)
    await attachLun({ ...first(dom0), lun: 1 }, dom0)
    expect(await dom0.host.files.read(OURS)).toContain('node.session.scan = manual\n')
    await detachLun({ target, lun: 1 }, dom0)
    await detach(dom0)
    expect(dom0.state()).toMatchObject({ records: [OURS], journal: [] })
    expect(await dom0.host.files.read(OURS)).toBe(text)
  })
})

test.each<readonly [string, string, string, boolean]>([
  ['is to log in at boot now', 'node.startup', 'automatic', true],
  ['has other credentials now', 'node.session.auth.username', 'host', true],
  ['scans now', 'node.session.scan', 'auto', true],
  ['is tuned otherwise', 'node.session.queue_depth', '64', false],
])('a record of ours that %s', async (_, setting, value, isKept) => {
  const dom0 = createDom0()
  await attachLun(first(dom0), dom0)
  await createNodeDb(dom0.host).update({ path: OURS }, { [setting]: value })
  expect(await noticesOf(dom0)).toEqual(isKept ? [OURS] : [])
  expect(await detach(dom0)).toHaveLength(isKept ? 1 : 0)
  expect(dom0.state().records).toEqual(isKept ? [OURS] : [])
  expect(dom0.state().journal).toEqual([])
})

test('a record of ours goes though several LUNs have changed it, and after a boot', async () => {
  const dom0 = createDom0()
  const chap = { username: 'guest', password: 'guests-secret-1' }
  await attachLun(first(dom0), dom0)
  const [session] = dom0.state().sessions
  await createIscsiadm(dom0.host).logoutSession(session?.id ?? 0)
  await attachLun({ ...first(dom0), lun: 1, loginTimeoutMs: 9000, chap }, dom0)
  expect(await dom0.host.files.read(OURS)).toContain('node.conn[0].timeo.login_timeout = 9\n')
  expect(await noticesOf(dom0)).toEqual([])
  await dom0.reboot()
  expect((await reconcile({ ...dom0, apply: true })).failed).toEqual([])
  expect(dom0.state()).toMatchObject({ records: [], journal: [] })
})

describe("a record that is the administrator's stays, whatever the moment a process died that was to make one:", () => {
  test.each<readonly [string, (dom0: SimulatedDom0) => Promise<string>]>([
    ['as iscsiadm makes it', async dom0 => dom0.plantRecord({ target, portal: at })],
    [
      'with his settings',
      async dom0 => {
        const path = dom0.plantRecord({ target, portal: at })
        await createNodeDb(dom0.host).update({ path }, { 'node.startup': 'automatic' })
        return path
      },
    ],
    ['of another portal group tag', async dom0 => dom0.plantRecord({ target, portal: at, tpgt: 7 })],
  ])('%s', { timeout: 60_000 }, async (_, make) => {
    const outcomes = await exploreCrashes({
      dom0: { volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' } }] },
      doomed: async (host, dom0) => {
        await attachLun(first(dom0), { host })
      },
      next: async (host, dom0) => {
        await dom0.host.clock.sleep(60_000)
        for (const path of dom0.state().records) await host.files.remove(path)
        const path = await make(dom0)
        const text = await host.files.read(path)
        await detachLun(address, { host })
        expect((await reconcile({ host, apply: true })).failed).toEqual([])
        expect([dom0.state().records, await host.files.read(path)]).toEqual([[path], text])
        await host.files.remove(path)
      },
    })
    expect(outcomes.length).toBeGreaterThan(20)
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  })

  test('also when it is told apart by its settings alone', async () => {
    const outcomes = await exploreCrashes({
      dom0: { volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' } }] },
      doomed: async (host, dom0) => {
        await attachLun(first(dom0), { host })
      },
      next: async (host, dom0) => {
        // An iscsiadm that runs makes it anew.
        await dom0.host.clock.sleep(500)
        if (!dom0.state().records.includes(OURS)) dom0.plantRecord({ target, portal: at })
        await createNodeDb(dom0.host).update({ path: OURS }, { 'node.startup': 'automatic' })
        await detachLun(address, { host })
        expect((await reconcile({ host, apply: true })).failed).toEqual([])
        expect(await host.files.read(OURS)).toContain('node.startup = automatic\n')
        await host.files.remove(OURS)
      },
    })
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  })
})

test('a record that one who died has made is made ready by the next attach, and goes with it', {
  timeout: 60_000,
}, async () => {
  const outcomes = await exploreCrashes({
    dom0: { volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' } }] },
    doomed: async (host, dom0) => {
      await attachLun(first(dom0), { host })
    },
    next: async (host, dom0) => {
      await attachLun(first(dom0), { host })
      const text = await host.files.read(OURS)
      for (const line of ['node.startup = manual', 'node.session.scan = manual']) expect(text).toContain(`${line}\n`)
      await detachLun(address, { host })
      await reconcile({ host, apply: true })
    },
  })
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
})

describe('what an earlier version noted, no more than the endpoint,', () => {
  const noteFormer = async ({ host: { files } }: SimulatedDom0): Promise<void> =>
    await files.replace(NOTES, JSON.stringify({ version: 1, records: [`${at} default`], changes: [] }), 0o600)

  test('is taken for the record that it made ready', async () => {
    const dom0 = createDom0()
    await attachLun(first(dom0), dom0)
    await noteFormer(dom0)
    expect(await noticesOf(dom0)).toEqual([])
    await attachLun({ ...first(dom0), lun: 1 }, dom0)
    await detachLun({ target, lun: 1 }, dom0)
    expect(await detach(dom0)).toEqual([])
    expect(dom0.leftovers()).toEqual([])
  })

  test('and for no other', async () => {
    const dom0 = createDom0()
    await attachLun(first(dom0), dom0)
    await noteFormer(dom0)
    await dom0.host.files.remove(OURS)
    const path = dom0.plantRecord({ target, portal: at, tpgt: 3 })
    expect(await noticesOf(dom0)).toEqual([path])
    expect(await detach(dom0)).toEqual([expect.stringContaining(`${path} stays`)])
    expect(dom0.state()).toMatchObject({ records: [path], journal: [] })
  })
})

test('a record that somebody else makes at the same time is not ours', async () => {
  const dom0 = createDom0()
  const { host } = dom0
  const executor: typeof host.executor = {
    exec: async (command, options) => {
      if (command.args.includes('new')) dom0.plantRecord({ target, portal: at, tpgt: 5 })
      return await host.executor.exec(command, options)
    },
  }
  await attachLun(first(dom0), { host: { ...host, executor } })
  expect(dom0.state().records).toHaveLength(2)
  await detach(dom0)
  expect(dom0.state().records).toEqual([`${FOLDER}/10.0.1.1,3260,5/default`])
  expect(await attach(dom0)).toMatchObject({ isDegraded: false })
})
