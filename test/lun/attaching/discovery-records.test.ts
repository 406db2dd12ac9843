import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, type Host, type LunEvent, reconcile } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { exploreCrashes } from '../../simulation/exploration/crashes.ts'
import { killAt } from '../helpers.ts'

const one = { target: 'iqn.2001-05.com.example:vm1', chap: { username: 'guest1', password: 'guests-secret-1' } }
const two = { target: 'iqn.2001-05.com.example:vm2', chap: { username: 'guest2', password: 'guests-secret-2' } }
const discovery = '10.0.1.1:3260'
const folder = '/var/lib/iscsi/send_targets/10.0.1.1,3260'
const path = `${folder}/st_config`
const NOTE = `/var/lib/xen-lun/discoveries/${discovery}.json`

/** A discovery record of the administrator's. */
const recordWith = (secret: string): string =>
  [
    '# BEGIN RECORD 2.1.11',
    'discovery.startup = manual',
    'discovery.type = sendtargets',
    'discovery.sendtargets.address = 10.0.1.1',
    'discovery.sendtargets.port = 3260',
    'discovery.sendtargets.auth.authmethod = CHAP',
    'discovery.sendtargets.auth.username = host',
    `discovery.sendtargets.auth.password = ${secret}`,
    '# END RECORD\n',
  ].join('\n')
const theirs = recordWith('hosts-secret-1')

const options = {
  volumes: [
    { name: 'v1', sizeMiB: 64 },
    { name: 'v2', sizeMiB: 64 },
    { name: 'v3', sizeMiB: 64 },
  ],
  targets: [
    { iqn: one.target, luns: { 0: 'v1', 1: 'v3' }, chap: one.chap },
    { iqn: two.target, luns: { 0: 'v2' }, chap: two.chap },
  ],
}
const plantTheirs = (dom0: SimulatedDom0): void => dom0.plant(path, { kind: 'file', text: theirs, mode: 0o600 })

/** A process that is killed while it asks the portal, with a guest's credentials in the record. */
async function dieAsking(dom0: SimulatedDom0, guest: typeof one): Promise<void> {
  await killAt(dom0, /discoverydb .*--discover/, async user => await attachLun({ ...guest, discovery }, user))
  expect(await dom0.host.files.read(path)).toContain(guest.chap.password)
}

const lines = (text: string | undefined): readonly string[] => (text ?? '').split('\n').toSorted()

describe("after two processes have died that asked one portal for two guests, the administrator's record is as it was", () => {
  const detach = async ({ host }: SimulatedDom0, { target }: typeof one): Promise<unknown> =>
    await detachLun({ target }, { host })
  test.each<readonly [string, (dom0: SimulatedDom0) => Promise<unknown>]>([
    ['the first target is left', async dom0 => await detach(dom0, one)],
    ['the second target is left', async dom0 => await detach(dom0, two)],
    ['both are, in their order', async dom0 => [await detach(dom0, one), await detach(dom0, two)]],
    ['both are, the other way round', async dom0 => [await detach(dom0, two), await detach(dom0, one)]],
    ['reconcile has run', async dom0 => await reconcile({ ...dom0, apply: true })],
    ['another discovery was made', async ({ host }) => await attachLun({ ...two, discovery }, { host })],
  ])('once %s', async (_, act) => {
    const dom0 = createSimulatedDom0(options)
    plantTheirs(dom0)
    await dieAsking(dom0, one)
    await dieAsking(dom0, two)
    await act(dom0)
    expect(lines(await dom0.host.files.read(path))).toEqual(lines(theirs))
    await detach(dom0, two)
    expect((await reconcile({ ...dom0, apply: true })).failed).toEqual([])
    expect(dom0.state()).toMatchObject({ discoveries: [path], journal: [] })
  })
})

test('what he changed meanwhile stays, and the rest is put back', async () => {
  const dom0 = createSimulatedDom0(options)
  plantTheirs(dom0)
  await dieAsking(dom0, one)
  const now = ((await dom0.host.files.read(path)) ?? '').replace(one.chap.password, 'hosts-secret-2')
  dom0.plant(path, { kind: 'file', text: now, mode: 0o600 })
  expect((await reconcile({ ...dom0, apply: true })).failed).toEqual([])
  expect(lines(await dom0.host.files.read(path))).toEqual(lines(recordWith('hosts-secret-2')))
  expect(dom0.state().journal).toEqual([])
})

test('a living process is not put right', async () => {
  const dom0 = createSimulatedDom0(options)
  plantTheirs(dom0)
  const attached = attachLun({ ...one, discovery }, dom0)
  const other = dom0.startUser()
  while (!dom0.started.some(line => line.includes('--discover'))) await dom0.host.clock.sleep(1)
  expect((await reconcile(other)).actions).toEqual([])
  await detachLun(two, other)
  expect(await other.host.files.read(path)).toContain(one.chap.password)
  await (await attached).detach()
  expect(lines(await dom0.host.files.read(path))).toEqual(lines(theirs))
})

test('it is put back by reconcile though a LUN of the target is attached', async () => {
  const dom0 = createSimulatedDom0(options)
  plantTheirs(dom0)
  await attachLun({ ...one, lun: 1, discovery }, dom0)
  await dieAsking(dom0, one)
  const { actions } = await reconcile(dom0)
  expect(actions).toContainEqual({ kind: 'restore', portal: discovery, why: expect.any(String) })
  expect(await dom0.host.files.read(path)).toContain(one.chap.password)
  await reconcile({ ...dom0, apply: true })
  expect(lines(await dom0.host.files.read(path))).toEqual(lines(theirs))
  expect((await reconcile(dom0)).actions).toEqual([])
})

describe('a record that was made for a question', () => {
  test('and that somebody has changed since stays without our credentials, and reconcile says so', async () => {
    const dom0 = createSimulatedDom0(options)
    await dieAsking(dom0, one)
    const text = (await dom0.host.files.read(path)) ?? ''
    expect(text).toContain(one.chap.password)
    const changed = text.replace(/username = .*/, 'username = admin')
    dom0.plant(path, { kind: 'file', text: changed, mode: 0o600 })
    const { failed } = await reconcile({ ...dom0, apply: true })
    expect(failed).toMatchObject([
      { step: expect.stringContaining(discovery), message: expect.stringContaining('stays') },
    ])
    expect(await dom0.host.files.read(path)).toMatch(/^(?![\s\S]*guests-secret)[\s\S]*username = admin/)
  })

  test('is gone after a boot, and with it the credentials', async () => {
    const dom0 = createSimulatedDom0(options)
    await dieAsking(dom0, one)
    await dom0.reboot()
    expect((await reconcile({ ...dom0, apply: true })).failed).toEqual([])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is gone, whatever the moment its process dies', { timeout: 60_000 }, async () => {
    const outcomes = await exploreCrashes({
      dom0: options,
      doomed: async host => await attachLun({ ...one, discovery }, { host }),
      next: async (host, dom0) => {
        await detachLun({ target: one.target }, { host })
        await dom0.host.clock.sleep(10_000)
        expect((await reconcile({ host, apply: true })).failed).toEqual([])
      },
    })
    expect(outcomes.length).toBeGreaterThan(20)
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  })

  test.each<readonly [string, (host: Host) => Promise<unknown>]>([
    ['a detach', async host => await detachLun({ target: one.target }, { host })],
    ['reconcile', async host => await reconcile({ host, apply: true })],
    ['another discovery', async host => await attachLun({ ...one, discovery }, { host })],
  ])(
    "and is the administrator's by now stays, whenever the process died, after %s",
    { timeout: 60_000 },
    async (_, act) => {
      const outcomes = await exploreCrashes({
        dom0: options,
        doomed: async host => await attachLun({ ...one, discovery }, { host }),
        next: async (host, dom0) => {
          await dom0.host.clock.sleep(60_000)
          plantTheirs(dom0)
          await act(host)
          await detachLun({ target: one.target }, { host })
          expect((await reconcile({ host, apply: true })).failed).toEqual([])
          expect(lines(await host.files.read(path))).toEqual(lines(theirs))
          await host.files.remove(path)
          await host.files.removeDirectory(folder)
        },
      })
      expect(outcomes.length).toBeGreaterThan(20)
      expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
    }
  )

  test("while it is asked, and is the administrator's then, stays, and that is told", async () => {
    const dom0 = createSimulatedDom0(options)
    const warnings: string[] = []
    const onEvent = (event: LunEvent): void => void (event.type === 'warning' && warnings.push(event.message))
    await dieAsking(dom0, one)
    plantTheirs(dom0)
    await detachLun({ target: one.target }, { ...dom0, onEvent })
    expect(lines(await dom0.host.files.read(path))).toEqual(lines(theirs))
    expect(warnings).toEqual([expect.stringContaining(`the discovery record of ${discovery} stays`)])
  })

  test('that a discovery of somebody else has found targets with stays, without the credentials', async () => {
    const dom0 = createSimulatedDom0(options)
    await dieAsking(dom0, one)
    dom0.plant(`${folder}/${one.target},10.0.1.1,3260,1,default`, { kind: 'link', target: '/nowhere' })
    await detachLun({ target: one.target }, dom0)
    const text = await dom0.host.files.read(path)
    expect([text?.includes('10.0.1.1'), text?.includes('guest')]).toEqual([true, false])
    expect(dom0.state().journal).toEqual([])
  })
})

test('what is noted of a portal is for root alone, and gone with the question', async () => {
  const dom0 = createSimulatedDom0(options)
  plantTheirs(dom0)
  await dieAsking(dom0, one)
  expect((await dom0.host.files.stat(NOTE))?.mode).toBe(0o600)
  expect((await dom0.host.files.stat(NOTE.slice(0, NOTE.lastIndexOf('/'))))?.mode).toBe(0o700)
  await attachLun({ ...two, discovery }, dom0)
  expect(dom0.state().journal).not.toContain(NOTE)
})

test('a note of a portal that cannot be read keeps every guest from changing the record', async () => {
  const dom0 = createSimulatedDom0(options)
  plantTheirs(dom0)
  dom0.plant(NOTE, { kind: 'file', text: '{' })
  const error = { code: 'JOURNAL_UNREADABLE', details: { path: NOTE } }
  await expect(attachLun({ ...one, discovery }, dom0)).rejects.toMatchObject(error)
  expect(await dom0.host.files.read(path)).toBe(theirs)
  expect((await reconcile({ ...dom0, apply: true })).notices).toMatchObject([
    { kind: 'unreadable-entry', subject: NOTE },
  ])
  expect(dom0.state()).toMatchObject({ sessions: [], journal: [NOTE] })
})
