import { describe, expect, test } from 'vitest'
import { cooldown, reconcile, releaseExpired } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { alias, attach, createDom0, detach, expectNoChange, ownersOf, target, uuidOf, VBD_1, VBD_2 } from './guests.ts'
import { killAt } from './helpers.ts'
import { detachLingering, loginsOf, release, TTL_MS, warm } from './holds.ts'

const over = 'its time to prewarm is over'

async function cool({ host }: SimulatedDom0, owner = 'p'): Promise<readonly unknown[]> {
  const { outcome, owners } = await cooldown({ target }, { host, owner })
  return [outcome, ...owners]
}

/** A guest of this host that the toolstack has made a backend for. */
function addBackend({ xen }: SimulatedDom0, domid = 1) {
  return xen.addBackend({ domid, devid: 51712, params: target })
}

describe('of a prewarmed LUN', () => {
  test("a guest's attach costs no login, ends the hold, and its detach leaves nothing", async () => {
    const dom0 = createDom0()
    const { outcome, device, expiresInMs } = await warm(dom0)
    expect([outcome, expiresInMs, loginsOf(dom0)]).toEqual(['attached', TTL_MS, 1])
    const before = dom0.state()
    addBackend(dom0)
    const started = dom0.started.length
    let offered: unknown
    const lun = await attach(dom0, VBD_1, {}, { handOver: async found => void (offered = found.device) })
    expect([lun.outcome, lun.device, offered]).toEqual(['already-attached', device, device])
    const tools = dom0.started.slice(started).map(line => line.split(' ', 1)[0] ?? '')
    expect(tools.filter(name => !/^(?:flock|xenstore-.*)$/.test(name))).toEqual([])
    expect(dom0.state()).toMatchObject({ sessions: before.sessions, disks: before.disks, maps: before.maps })
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
    expect(await detach(dom0, VBD_1)).toEqual(['detached'])
    expect(dom0.state()).toMatchObject({ sessions: [], disks: [], maps: [], journal: [], records: [] })
  })

  test('a guest ends every hold, and finds it also when those have expired', async () => {
    const dom0 = createDom0()
    await warm(dom0, 'p')
    await warm(dom0, 'q')
    await dom0.host.clock.sleep(2 * TTL_MS)
    expect((await attach(dom0, VBD_1)).outcome).toBe('already-attached')
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
    expect(loginsOf(dom0)).toBe(1)
  })

  test('another owner takes nothing from the guest to come', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    expect((await attach(dom0, 'backup')).outcome).toBe('already-attached')
    expect(await ownersOf(dom0.host)).toEqual({ p: 'attached', backup: 'attached' })
    expect(await detach(dom0, 'backup')).toEqual(['released', 'p'])
    expect((await attach(dom0, VBD_1)).outcome).toBe('already-attached')
    expect(loginsOf(dom0)).toBe(1)
  })

  test('the hold stays when the hand-over to a guest fails', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const handOver = async (): Promise<never> => await Promise.reject(new Error('no'))
    await expect(attach(dom0, VBD_1, {}, { handOver })).rejects.toThrow('no')
    expect(await ownersOf(dom0.host)).toEqual({ p: 'attached' })
    await dom0.host.clock.sleep(TTL_MS)
    expect(await release(dom0)).toEqual({ gone: [`p: ${over}`], nextInMs: undefined })
    expect(dom0.leftovers()).toEqual([])
  })

  test('a guest that cannot be noted as the only owner has it all the same', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const { files } = dom0.host
    let isNoted = false
    const host = {
      ...dom0.host,
      files: {
        ...files,
        replace: async (...args: Parameters<typeof files.replace>) => {
          if (isNoted) throw new Error('ENOSPC')
          await files.replace(...args)
        },
      },
    }
    const warnings: unknown[] = []
    const onEvent = (event: { readonly type: string }): void => void (event.type === 'warning' && warnings.push(event))
    const handOver = async (): Promise<void> => void (isNoted = true)
    expect((await attach({ host }, VBD_1, {}, { handOver, onEvent })).outcome).toBe('already-attached')
    expect(warnings).toMatchObject([{ message: expect.stringContaining('until they expire: ENOSPC') }])
    expect(await ownersOf(dom0.host)).toEqual({ p: 'attached', [VBD_1]: 'attached' })
  })

  test('the array is asked again when the guest comes', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await dom0.san.remapLun(target, 0, 'v1')
    await expect(attach(dom0, VBD_1)).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
    expect(await ownersOf(dom0.host)).toEqual({ p: 'attached' })
  })
})

describe('the time of a hold', () => {
  test('ends it, for whoever looks, though its process lives', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await dom0.host.clock.sleep(TTL_MS - 1000)
    const before = await expectNoChange(dom0, async () => await release(dom0))
    expect(before.gone).toEqual([])
    expect(before.nextInMs).toBeGreaterThan(900)
    expect(before.nextInMs).toBeLessThanOrEqual(1000)
    await dom0.host.clock.sleep(before.nextInMs ?? 0)
    const { actions } = await expectNoChange(dom0, async () => await reconcile(dom0))
    expect(actions).toMatchObject([{ kind: 'release', owner: 'p', why: over }])
    expect(await release(dom0)).toEqual({ gone: [`p: ${over}`], nextInMs: undefined })
    expect(dom0.leftovers()).toEqual([])
  })

  test('ends it in reconcile as well', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    expect((await reconcile({ ...dom0, apply: true })).actions).toEqual([])
    await dom0.host.clock.sleep(TTL_MS)
    expect(await reconcile({ ...dom0, apply: true })).toMatchObject({ actions: [{ why: over }], failed: [] })
    expect(dom0.leftovers()).toEqual([])
  })

  test('does not depend on its process, nor on xenstored', async () => {
    const dom0 = createDom0()
    const user = dom0.startUser()
    await warm(user)
    user.kill()
    expect((await reconcile(dom0)).actions.filter(({ kind }) => kind === 'release')).toEqual([])
    await dom0.daemons.xenstored.stop()
    expect((await release(dom0)).gone).toEqual([])
    await dom0.host.clock.sleep(TTL_MS)
    expect((await release(dom0)).gone).toEqual([`p: ${over}`])
    expect(dom0.state()).toMatchObject({ sessions: [], disks: [], maps: [] })
  })

  test('begins anew when it is prewarmed again by the same owner', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await dom0.host.clock.sleep(TTL_MS / 2)
    expect(await warm(dom0)).toMatchObject({ outcome: 'already-attached', expiresInMs: TTL_MS })
    await dom0.host.clock.sleep(TTL_MS * 0.75)
    expect((await release(dom0)).gone).toEqual([])
    await dom0.host.clock.sleep(TTL_MS / 4)
    expect((await release(dom0)).gone).toEqual([`p: ${over}`])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is that before when it cannot be prewarmed again', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const wrong = warm(dom0, 'p', { ttlMs: 10 * TTL_MS }, { expected: { sizeBytes: 1 } })
    await expect(wrong).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
    expect((await release(dom0)).nextInMs).toBeLessThanOrEqual(TTL_MS)
  })

  test('is its own for each of two owners; the LUN goes with the last', async () => {
    const dom0 = createDom0()
    await warm(dom0, 'p')
    await warm(dom0, 'q', { ttlMs: 2 * TTL_MS })
    await dom0.host.clock.sleep(TTL_MS)
    const first = await release(dom0)
    expect(first.gone).toEqual([`p: ${over}`])
    expect(dom0.state().maps).toHaveLength(1)
    await dom0.host.clock.sleep(first.nextInMs ?? 0)
    expect(await release(dom0)).toEqual({ gone: [`q: ${over}`], nextInMs: undefined })
    expect(dom0.leftovers()).toEqual([])
  })

  test('when it is over for two, both go at once', async () => {
    const dom0 = createDom0()
    await warm(dom0, 'p')
    await warm(dom0, 'q')
    await dom0.host.clock.sleep(TTL_MS)
    expect((await release(dom0)).gone).toEqual([`p: ${over}`, `q: ${over}`])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is over: the last other owner takes the LUN with it', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await attach(dom0, 'backup')
    await dom0.host.clock.sleep(TTL_MS)
    expect(await detach(dom0, 'backup')).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test.each([
    ['mounted', (dom0: SimulatedDom0, on: string) => dom0.mount(on, '/mnt'), 'mount /mnt'],
    ['open', (dom0: SimulatedDom0, on: string) => dom0.openDevice(on, 4711, 'dd'), '4711 dd'],
  ])('is over while the LUN is %s: it stays, which is said, and other LUNs go', async (_, use, name) => {
    const dom0 = createDom0()
    const { device } = await warm(dom0)
    await warm(dom0, 'p', {}, { lun: 1 })
    const user = use(dom0, device)
    await dom0.host.clock.sleep(TTL_MS)
    const { released, failed, nextInMs } = await releaseExpired(dom0)
    expect([released.map(({ lun }) => lun), nextInMs]).toEqual([[1], undefined])
    expect(failed).toEqual([{ step: `release LUN 0 of ${target} for p`, message: expect.stringContaining(name) }])
    expect(dom0.state().maps).toHaveLength(1)
    if ('close' in user) user.close()
    else user.unmount()
    expect((await release(dom0)).gone).toEqual([`p: ${over}`])
    expect(dom0.leftovers()).toEqual([])
  })

  test('does not outlive a boot', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const entry = `/run/xen-lun/luns/${target},0.json`
    const text = (await dom0.host.files.read(entry)) ?? ''
    await dom0.reboot()
    await dom0.host.files.makeDirectory('/run/xen-lun/luns', 0o700)
    await dom0.host.files.replace(entry, text, 0o600)
    expect(await release(dom0)).toEqual({ gone: [], nextInMs: undefined })
    expect((await reconcile({ ...dom0, apply: true })).actions).toMatchObject([{ kind: 'forget' }, { kind: 'leave' }])
    expect(await warm(dom0)).toMatchObject({ outcome: 'attached', expiresInMs: TTL_MS })
    expect(await cool(dom0)).toEqual(['detached'])
    expect(dom0.state()).toMatchObject({ journal: [], sessions: [], disks: [] })
  })
})

describe('cooldown', () => {
  test('leaves nothing, and may be called again', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    expect(await cool(dom0)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
    expect(await cool(dom0)).toEqual(['already-detached'])
  })

  test('by another owner changes nothing', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    expect(await expectNoChange(dom0, async () => await cool(dom0, 'q'))).toEqual(['already-detached', 'p'])
    await dom0.host.clock.sleep(TTL_MS)
    expect(await expectNoChange(dom0, async () => await cool(dom0, 'q'))).toEqual(['already-detached', 'p'])
  })

  test('leaves the LUN to others, and to the guest that took it', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await warm(dom0, 'q')
    expect(await cool(dom0)).toEqual(['released', 'q'])
    await attach(dom0, VBD_1)
    expect(await cool(dom0, 'q')).toEqual(['already-detached', VBD_1])
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('does not touch what its owner attached for good, nor what others log in', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'p')
    expect(await expectNoChange(dom0, async () => await cool(dom0))).toEqual(['already-detached', 'p'])
    await dom0.host.files.remove(`/run/xen-lun/luns/${target},0.json`)
    await dom0.host.files.remove(`/run/xen-lun/targets/${target}.json`)
    expect(await expectNoChange(dom0, async () => await cool(dom0))).toEqual(['already-detached'])
    expect(dom0.state().sessions).toHaveLength(2)
  })

  test('takes away what a killed prewarm had begun', async () => {
    const dom0 = createDom0({ timing: { loginMs: 3000 } })
    await killAt(dom0, /^iscsiadm .*--login/, async user => await warm(user))
    expect(await cool(dom0)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is the detach of the handle, and of await using', async () => {
    const dom0 = createDom0()
    const lun = await warm(dom0)
    expect((await lun.detach()).outcome).toBe('detached')
    {
      await using again = await warm(dom0)
      expect(again.outcome).toBe('attached')
      await using renewed = await warm(dom0)
      expect(renewed.outcome).toBe('already-attached')
    }
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('an owner that prewarms and attaches by one name', () => {
  test('has the LUN for good from its attach on, whatever it prewarms', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await attach(dom0, 'p')
    expect(await warm(dom0)).toMatchObject({ outcome: 'already-attached', expiresInMs: undefined })
    await dom0.host.clock.sleep(2 * TTL_MS)
    expect(await release(dom0)).toEqual({ gone: [], nextInMs: undefined })
    expect(await detach(dom0, 'p')).toEqual(['detached'])
  })

  test('holds it for the time it had when the attach fails, even at its very end', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const handOver = async (): Promise<never> => await Promise.reject(new Error('no'))
    await expect(attach(dom0, 'p', {}, { handOver })).rejects.toThrow('no')
    expect((await release(dom0)).nextInMs).toBeLessThanOrEqual(TTL_MS)
    await dom0.host.clock.sleep(TTL_MS)
    expect((await release(dom0)).gone).toEqual([`p: ${over}`])
  })

  test('gives it up at the end of await using', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    {
      await using lun = await attach(dom0, 'p')
      expect(lun.outcome).toBe('already-attached')
    }
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('sharing', () => {
  test('a hold is no use of the volume: a guest gets it, also through another target', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    addBackend(dom0)
    await expect(attach(dom0, VBD_1, { target: alias, lun: 5 })).resolves.toMatchObject({ outcome: 'attached' })
    expect(await ownersOf(dom0.host)).toEqual({ p: 'attached' })
  })

  test('a LUN that a guest has may be prewarmed for its migration to this very host, and not for another VM', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, VBD_1)
    const backend = dom0.xen.addBackend({ domid: 1, devid: 51712, device })
    backend.connect()
    expect(await warm(dom0)).toMatchObject({ outcome: 'already-attached', expiresInMs: TTL_MS })
    addBackend(dom0, 2)
    await expect(attach(dom0, VBD_2)).rejects.toMatchObject({ code: 'LUN_SHARED' })
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached', p: 'attached' })
    dom0.xen.addDomain({ domid: 3, name: 'guest1--incoming', uuid: uuidOf(1) })
    addBackend(dom0, 3)
    expect((await attach(dom0, 'backend/vbd/3/51712')).outcome).toBe('already-attached')
    expect(Object.keys(await ownersOf(dom0.host))).toEqual([VBD_1, 'backend/vbd/3/51712'])
    expect(loginsOf(dom0)).toBe(1)
  })

  test.each([
    ['through another target', { target: alias, lun: 5 }, VBD_1],
    ['of a guest that was given it by hand', {}, 'by hand'],
  ])('a volume is not prewarmed %s', async (_, request, owner) => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, owner)
    dom0.xen.addBackend({ domid: 1, devid: 51712, device }).connect()
    const before = dom0.state()
    await expect(warm(dom0, 'p', {}, request)).rejects.toMatchObject({ code: 'LUN_SHARED' })
    expect(dom0.state()).toEqual(before)
  })
})

test('a prewarm of a LUN that lingers leaves it to the next attach', async () => {
  const dom0 = createDom0()
  await attach(dom0, VBD_1)
  await detachLingering(dom0, VBD_1)
  await warm(dom0)
  expect(Object.keys(await ownersOf(dom0.host))).toEqual([`linger:${VBD_1}`, 'p'])
  await attach(dom0, VBD_1)
  expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
  expect(loginsOf(dom0)).toBe(1)
})

const backends = [VBD_1, '/local/domain/0/backend/qdisk/1/51712']

// @ts-expect-error -- what JavaScript may pass
test.each([...backends, ' p', undefined as string])('neither prewarm nor cooldown is for the owner %j', async owner => {
  const dom0 = createDom0()
  const refusal = { code: 'INVALID_INPUT', details: { field: 'owner' } }
  await expect(warm(dom0, owner, { owner })).rejects.toMatchObject(refusal)
  await expect(cooldown({ target }, { host: dom0.host, owner })).rejects.toMatchObject(refusal)
  expect([dom0.started, dom0.leftovers()]).toEqual([[], []])
})

test.each([0, 999, 86_400_001, 1000.5, Number.NaN])('nothing is prewarmed for %d ms', async ttlMs => {
  const dom0 = createDom0()
  const refusal = { code: 'INVALID_INPUT', details: { field: 'ttlMs' } }
  await expect(warm(dom0, 'p', { ttlMs })).rejects.toMatchObject(refusal)
  expect([dom0.started, dom0.leftovers()]).toEqual([[], []])
})
