import { expect, test } from 'vitest'
import { attachLun, createIscsiadm, detachLun, type Host, iqn, listAttachments, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, rejection, target, virtualMs } from '../helpers.ts'

const isLogout = (args: readonly string[]): boolean => args.includes('-u') || args.includes('--logout')

/** The same host, where iscsiadm's logouts answer `exitCode` as long as `isStuck` says so, and do nothing. */
function refusing({ host }: SimulatedDom0, exitCode: number, isStuck: () => boolean): Host {
  return {
    ...host,
    executor: {
      exec: async (command, options) =>
        isLogout(command.args) && isStuck()
          ? { exitCode, stdout: '', stderr: `iscsiadm: initiator reported error (${exitCode})\n` }
          : await host.executor.exec(command, options),
    },
  }
}

const CODES = [2, 10, 18, 20, 21, 22, 32]

test.each(CODES)('a logout that is refused with %i while iscsid starts is asked for again', async exitCode => {
  const dom0 = createDom0()
  await attach(dom0)
  const startedMs = dom0.host.clock.now()
  const host = refusing(dom0, exitCode, () => dom0.host.clock.now() - startedMs < 3000)
  expect(await detachLun(address, { host })).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

test.each(CODES)('one that is refused with %i for good is told with its reason, and noted', async exitCode => {
  const dom0 = createDom0()
  await attach(dom0)
  let isStuck = true
  const host = refusing(dom0, exitCode, () => isStuck)
  expect(await rejection(detachLun(address, { host }))).toMatchObject({
    code: 'DETACH_INCOMPLETE',
    details: { steps: [{ step: 'logout', message: expect.stringMatching(/session \d|iscsid does not answer/) }] },
  })
  const { sessions, records, journal } = dom0.state()
  expect([sessions.length, records.length, journal.length]).toEqual([2, 2, 3])
  isStuck = false
  expect(await detachLun(address, { host })).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

test.each([20, 21])('without iscsid a detach says so at once, whatever iscsiadm answers: %i', async exitCode => {
  const dom0 = createDom0()
  await attach(dom0)
  await dom0.daemons.iscsid.stop()
  const host = refusing(dom0, exitCode, () => !dom0.daemons.iscsid.isRunning())
  const detaching = rejection(detachLun(address, { host }))
  expect(await virtualMs(dom0, detaching)).toBeLessThan(3000)
  expect(await detaching).toMatchObject({
    code: 'DETACH_INCOMPLETE',
    message: expect.stringContaining('iscsid does not run'),
  })
  await dom0.daemons.iscsid.start()
  expect(await detachLun(address, { host })).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

test('a logout that is interrupted leaves a session that is named, kept in the journal, and ended later', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  dom0.interruptLogouts(100)
  expect(await rejection(detachLun(address, dom0))).toMatchObject({ code: 'DETACH_INCOMPLETE' })
  expect(await createIscsiadm(dom0.host).sessions()).toMatchObject([
    { sid: 1, state: 'unbound', targetId: undefined },
    { sid: 2, state: 'unbound', targetId: undefined },
  ])
  const { records, journal } = dom0.state()
  expect([records.length, journal.length]).toEqual([2, 3])
  expect((await listAttachments(dom0)).attachments).toMatchObject([
    { pathCount: { up: 0, down: 2 }, paths: [{ session: 'unbound' }, { session: 'unbound' }] },
  ])
  expect(await rejection(detachLun(address, dom0))).toMatchObject({ code: 'DETACH_INCOMPLETE' })
  dom0.interruptLogouts(0)
  expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
  expect(dom0.leftovers()).toEqual([])
})

test('reconcile ends such a session of ours', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  dom0.interruptLogouts(100)
  await rejection(detachLun(address, dom0))
  dom0.interruptLogouts(0)
  const { failed } = await reconcile({ ...dom0, apply: true })
  expect(failed).toEqual([])
  expect(dom0.state().sessions).toEqual([])
})

test('an attach ends such a session of ours, and logs in again', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  dom0.interruptLogouts(100)
  await rejection(detachLun(address, dom0))
  dom0.interruptLogouts(0)
  const lun = await attach(dom0)
  expect(lun.isDegraded).toBe(false)
  await lun.detach()
  expect(dom0.leftovers()).toEqual([])
})

test.each(['-1', '4294967295'] as const)(
  'one of somebody else, with target_id %s, is named and left alone',
  async id => {
    const dom0 = createDom0()
    const [first] = dom0.san.portals
    dom0.addSession({ target, portal: first, isScanned: false }).unbind(id)
    expect(await createIscsiadm(dom0.host).sessions({ target: iqn(target) })).toMatchObject([{ state: 'unbound' }])
    expect(await rejection(attachLun({ target, portals: [first] }, dom0))).toMatchObject({
      code: 'ISCSI_SESSION_UNUSABLE',
      message: expect.stringContaining('its target is unbound'),
      details: { sid: 1, state: 'unbound' },
    })
    const lun = await attach(dom0)
    expect(lun.paths.map(({ state }) => state).toSorted()).toEqual(['pending', 'up'])
    await lun.detach()
    expect(dom0.state().sessions).toMatchObject([{ id: 1 }])
    expect((await reconcile(dom0)).notices).toMatchObject([
      { kind: 'foreign-session', subject: '1', message: expect.stringContaining('its target is unbound') },
    ])
  }
)

test('where somebody else has a session with the target, ours are ended by number', async () => {
  const dom0 = createDom0({ portals: ['10.0.1.1:3260', '10.0.2.1:3260', '10.0.3.1:3260'] })
  const [first, second, third = ''] = dom0.san.portals
  await attachLun({ target, portals: [first, second] }, dom0)
  const other = dom0.addSession({ target, portal: third, isScanned: false })
  await detachLun(address, dom0)
  expect(dom0.state().sessions).toMatchObject([{ id: other.id }])
  expect(dom0.started.filter(line => line.endsWith('--logout'))).toEqual([])
})
