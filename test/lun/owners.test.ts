import { describe, expect, test } from 'vitest'
import { attachLun, createIscsiadm, detachLun, iqn, portal } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { until } from '../../src/flow/until.ts'
import { attach, createDom0, detach, expectNoChange, ownersOf, target, VBD_1, VBD_2 } from './guests.ts'

const portals = ['10.0.1.1:3260', '10.0.2.1:3260']

/** What an administrator does by hand. */
async function logIn({ host }: SimulatedDom0, address: string): Promise<void> {
  const iscsiadm = createIscsiadm(host)
  const place = { target: iqn(target), portal: portal(address) }
  await iscsiadm.createRecord(place)
  await iscsiadm.login(place)
}

const sessionsOf = (dom0: SimulatedDom0): readonly number[] => dom0.state().sessions.map(({ id }) => id)

describe('an owner', () => {
  test('that attaches twice holds the LUN once', async () => {
    const dom0 = createDom0()
    expect((await attach(dom0, 'a')).outcome).toBe('attached')
    const again = await expectNoChange(dom0, async () => await attach(dom0, 'a'))
    expect(again.outcome).toBe('already-attached')
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
    expect(await detach(dom0, 'a')).toEqual(['already-detached'])
  })

  test('without a name is one too', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    expect(await ownersOf(dom0.host)).toEqual({ default: 'attached' })
    expect(await detach(dom0, 'default')).toEqual(['detached'])
  })

  test.each([
    ['/local/domain/0/backend/vbd/1/51712', VBD_1],
    [VBD_1, '/local/domain/0/backend/vbd/1/51712'],
    ['/local/domain/0/backend/qdisk/1/51712', 'backend/qdisk/1/51712'],
  ])('is the same by %s and by %s', async (first, second) => {
    const dom0 = createDom0()
    await attach(dom0, first)
    expect((await attach(dom0, second)).outcome).toBe('already-attached')
    expect(Object.keys(await ownersOf(dom0.host))).toHaveLength(1)
    expect(await detach(dom0, second)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test.each([
    '',
    ' a',
    'a ',
    'a\nb',
    'a\0',
    'ä',
    'a'.repeat(201),
    // @ts-expect-error -- what JavaScript may pass
    7 as string,
  ])('cannot be called %j', async owner => {
    const dom0 = createDom0()
    const refusal = { code: 'INVALID_INPUT', details: { field: 'owner' } }
    await expect(attachLun({ target, portals }, { host: dom0.host, owner })).rejects.toMatchObject(refusal)
    await expect(detachLun({ target }, { host: dom0.host, owner })).rejects.toMatchObject(refusal)
    expect([dom0.started, dom0.leftovers()]).toEqual([[], []])
    expect(await dom0.host.files.list('/run')).toEqual(['lock'])
    expect(await dom0.host.files.list('/run/lock')).toEqual([])
  })
})

describe('of two owners', () => {
  test('the first lets go and nothing changes, the second leaves nothing', async () => {
    const dom0 = createDom0()
    const first = await attach(dom0, 'a')
    const before = dom0.state()
    const second = await attach(dom0, 'b')
    expect([second.outcome, second.device]).toEqual(['already-attached', first.device])
    expect(dom0.state()).toEqual(before)
    expect(await first.detach()).toMatchObject({ outcome: 'released', owners: ['b'], wwid: first.wwid })
    expect(dom0.state()).toEqual(before)
    expect(await ownersOf(dom0.host)).toEqual({ b: 'attached' })
    expect(await second.detach()).toMatchObject({ outcome: 'detached', owners: [], writes: 'written' })
    expect(dom0.leftovers()).toEqual([])
  })

  test('each may have the device in use while the other lets go', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'a')
    await attach(dom0, 'b')
    const open = dom0.openDevice(device)
    expect(await detach(dom0, 'a')).toEqual(['released', 'b'])
    await expect(detach(dom0, 'b')).rejects.toMatchObject({ code: 'LUN_IN_USE' })
    open.close()
    expect(await detach(dom0, 'b')).toEqual(['detached'])
  })

  test('neither is somebody else, who has nothing to let go of', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    await attach(dom0, 'b')
    expect(await expectNoChange(dom0, async () => await detach(dom0, 'c'))).toEqual(['already-detached', 'a', 'b'])
    expect(await expectNoChange(dom0, async () => await detach(dom0))).toEqual(['already-detached', 'a', 'b'])
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached', b: 'attached' })
  })

  test('one fails to attach, and the other one keeps the LUN as it is', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    const expected = { wwid: `3${'6'.repeat(32)}` }
    const wrong = async (): Promise<unknown> => await attach(dom0, 'b', { expected })
    await expect(expectNoChange(dom0, wrong)).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
    expect(dom0.state().journal).toHaveLength(3)
    const gone = async (): Promise<never> => await Promise.reject(new Error('no'))
    const handedOver = async (): Promise<unknown> => await attach(dom0, 'b', {}, { handOver: gone })
    await expect(handedOver()).rejects.toThrow('no')
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    expect(dom0.state().disks).toHaveLength(2)
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('one fails to attach again, and holds the LUN as before', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    const wrong = async (): Promise<unknown> => await attach(dom0, 'a', { expected: { sizeBytes: 1 } })
    await expect(wrong()).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    expect(dom0.state().disks).toHaveLength(2)
  })

  test('both may attach at the same time', async () => {
    const dom0 = createDom0()
    const other = dom0.startUser()
    const [first, second] = await Promise.all([attach(dom0, 'a'), attach(other, 'b')])
    expect(first.device).toBe(second.device)
    expect(dom0.state().sessions).toHaveLength(2)
    const outcomes = await Promise.all([detach(dom0, 'a'), detach(other, 'b')])
    expect(new Set(outcomes.map(([outcome]) => outcome))).toEqual(new Set(['detached', 'released']))
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('await using', () => {
  test('lets go of what this call took, and of nothing else', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    {
      await using second = await attach(dom0, 'b')
      expect([second.outcome, await ownersOf(dom0.host)]).toEqual([
        'already-attached',
        { a: 'attached', b: 'attached' },
      ])
    }
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    {
      await using again = await attach(dom0, 'a')
      expect(again.outcome).toBe('already-attached')
    }
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    expect(dom0.state().disks).toHaveLength(2)
  })

  test('of the only owner leaves nothing', async () => {
    const dom0 = createDom0()
    {
      await using lun = await attach(dom0, 'a')
      expect(lun.outcome).toBe('attached')
    }
    expect(dom0.leftovers()).toEqual([])
  })

  test('of an owner that brought a path back keeps what it held before', async () => {
    const dom0 = createDom0({ faults: { portals: { '10.0.2.1:3260': 'refused' } } })
    const first = await attach(dom0, 'a')
    await first.stop()
    await dom0.san.restorePortal('10.0.2.1:3260')
    {
      await using again = await attach(dom0, 'a')
      expect([again.outcome, again.isDegraded]).toEqual(['attached', false])
    }
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
  })
})

describe('sessions', () => {
  test.each([
    [0, 1],
    [1, 0],
  ])('stay while another owner has another LUN of the target: first LUN %i, then %i', async (first, second) => {
    const dom0 = createDom0()
    await attach(dom0, VBD_1, { lun: 0 })
    const sessions = sessionsOf(dom0)
    await attach(dom0, VBD_2, { lun: 1 })
    expect(sessionsOf(dom0)).toEqual(sessions)
    const owners = [VBD_1, VBD_2]
    expect(await detach(dom0, owners[first], first)).toEqual(['detached'])
    expect(sessionsOf(dom0)).toEqual(sessions)
    expect(dom0.state().disks.map(({ lun }) => lun)).toEqual([second, second])
    expect(await detach(dom0, owners[second], second)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('that somebody else logged in stay, with their records', async () => {
    const dom0 = createDom0()
    for (const address of portals) await logIn(dom0, address)
    const { sessions, records } = dom0.state()
    expect(sessions).toHaveLength(2)
    const lun = await attach(dom0, 'a')
    expect(lun.paths.map(({ state }) => state)).toEqual(['up', 'up'])
    expect(dom0.state().sessions).toEqual(sessions)
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.state()).toMatchObject({ sessions, records, journal: [] })
    // Their login scanned for every LUN.
    expect(dom0.state().disks.map(disk => disk.lun)).toEqual([1, 1])
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('that somebody else logged in over one portal stay, ours over the other goes', async () => {
    const dom0 = createDom0()
    await logIn(dom0, '10.0.1.1:3260')
    const { sessions, records } = dom0.state()
    await attach(dom0, 'a')
    await attach(dom0, 'b', { lun: 1 })
    expect(dom0.state().sessions).toHaveLength(2)
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.state().sessions).toHaveLength(2)
    expect(await detach(dom0, 'b', 1)).toEqual(['detached'])
    expect(dom0.state().sessions).toEqual(sessions)
    expect(records.every(record => dom0.state().records.includes(record))).toBe(true)
  })
})

test('after a reboot nobody holds anything', async () => {
  const dom0 = createDom0()
  await attach(dom0, 'a')
  await attach(dom0, 'b')
  const entry = `/run/xen-lun/luns/${target},0.json`
  const text = (await dom0.host.files.read(entry)) ?? ''
  await dom0.reboot()
  // Only the node records are there still, and are known as ours.
  expect(await detach(dom0, 'a')).toEqual(['detached'])
  expect(dom0.state()).toMatchObject({ journal: [], records: [], sessions: [], disks: [], maps: [] })
  expect(await detach(dom0, 'a')).toEqual(['already-detached'])

  // Not even where /run outlives a boot.
  await dom0.host.files.makeDirectory('/run/xen-lun/luns', 0o700)
  await dom0.host.files.replace(entry, text, 0o600)
  expect(await attach(dom0, 'c')).toMatchObject({ outcome: 'attached' })
  expect(await ownersOf(dom0.host)).toEqual({ c: 'attached' })
  expect(await detach(dom0, 'c')).toEqual(['detached'])
  expect(dom0.state()).toMatchObject({ journal: [], sessions: [], disks: [], maps: [] })
})

describe('a process killed in the middle of an attach', () => {
  const killed = async (dom0: SimulatedDom0, owner: string): Promise<void> => {
    const user = dom0.startUser()
    const never = attach(user, owner).then(
      () => expect.fail('it ended'),
      () => expect.fail('it ended')
    )
    const isUnderWay = async (): Promise<boolean> => dom0.state().sessions.length > 0
    const started = until(dom0.host.clock, isUnderWay, { awaited: 'a session', timeoutMs: 10_000 })
    await Promise.race([started, never])
    user.kill()
  }

  test('leaves an owner that is attaching, whose next attach takes over', async () => {
    const dom0 = createDom0()
    await killed(dom0, 'a')
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attaching' })
    expect(await attach(dom0, 'a')).toMatchObject({ outcome: 'attached', isDegraded: false })
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('leaves an owner that is attaching, which a detach takes away', async () => {
    const dom0 = createDom0()
    await killed(dom0, 'a')
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('harms nobody who holds the LUN', async () => {
    const dom0 = createDom0({ timing: { loginMs: 500 } })
    await attach(dom0, 'b')
    const user = dom0.startUser()
    let isHanded = false
    void attach(user, 'a', {}, { handOver: async () => await new Promise(() => (isHanded = true)) })
    await until(dom0.host.clock, async () => isHanded, { awaited: 'the hand-over', timeoutMs: 10_000 })
    user.kill()
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached', b: 'attached' })
    expect(await detach(dom0, 'b')).toEqual(['released', 'a'])
    expect(await detach(dom0, 'a')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })
})
