import { describe, expect, test } from 'vitest'
import {
  type AttachOptions,
  createFlock,
  createMultipath,
  createXenstore,
  type HandedOver,
  isLunError,
  reconcile,
} from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { until } from '../../src/flow/until.ts'
import { alias, attach, createDom0, detach, ownersOf, VBD_1, VBD_2 } from './guests.ts'

const LOCK_FOLDER = '/var/run/xen-hotplug'
const LOCK = `${LOCK_FOLDER}/block`

type User = Pick<SimulatedDom0, 'host'>

/** Whether somebody who uses Xen's lock, as its block script does, would get it now. */
async function isFree({ host }: User): Promise<boolean> {
  const free = createFlock(host).withLock(LOCK, async () => true, { timeoutMs: 100 })
  return await free.catch((error: unknown) => {
    if (isLunError(error, 'LOCK_TIMEOUT')) return false
    throw error
  })
}

test('a disk over which multipathd makes a map meanwhile is not handed over by itself', async () => {
  const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
  const { files } = dom0.host
  let reads = 0
  const readAt: typeof files.readAt = async (path, ...rest) => {
    // The test read: from then on the device is only proven.
    if (path === '/dev/sda' && ++reads === 1)
      await createMultipath(dom0.host)
        .addWwid('sda')
        .then(async () => await createMultipath(dom0.host).addPath('sda'))
    return await files.readAt(path, ...rest)
  }
  const host = { ...dom0.host, files: { ...files, readAt } }
  const wanted = attach({ host }, 'a', { portals: ['10.0.1.1'], multipath: 'never' })
  await expect(wanted).rejects.toMatchObject({ code: 'LUN_IN_USE' })
  expect(dom0.leftovers()).toEqual([])
})

describe('handOver', () => {
  test('of different volumes goes on side by side', async () => {
    const dom0 = createDom0()
    const begun = new Set<string>()
    // Each is done when both have begun.
    const handOverTo = (owner: string) => async (): Promise<void> => {
      begun.add(owner)
      await until(dom0.host.clock, async () => begun.size === 2, { awaited: 'the other hand-over', timeoutMs: 20_000 })
    }
    await Promise.all(
      [VBD_1, VBD_2].map(async (owner, lun) => await attach(dom0, owner, { lun }, { handOver: handOverTo(owner) }))
    )
    expect(begun.size).toBe(2)
  })

  test('gets the device, when everything about it is proven', async () => {
    const dom0 = createDom0()
    const seen: unknown[] = []
    const handOver = async (device: HandedOver): Promise<void> => {
      seen.push(device, await ownersOf(dom0.host))
    }
    const steps: string[] = []
    const onEvent: AttachOptions['onEvent'] = event => {
      if (event.type === 'start' || event.type === 'end') steps.push(`${event.type} ${event.step}`)
    }
    const lun = await attach(dom0, 'a', {}, { handOver, onEvent })
    const { device, deviceNumber, sizeBytes, isReadOnly, wwid, map } = lun
    expect(wwid).toMatch(/^3600/)
    expect(sizeBytes).toBe(64 << 20)
    expect(seen).toEqual([{ device, deviceNumber, sizeBytes, isReadOnly, wwid, map }, { a: 'attached' }])
    const last = steps.slice(steps.indexOf('end identity'))
    expect(last.slice(0, 3)).toEqual(['end identity', 'start hand-over', 'end hand-over'])
    expect(last).not.toContain('start identity')
  })

  test('is called again for a LUN that is attached already', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'a')
    const seen: string[] = []
    const handOver = async ({ device }: HandedOver): Promise<void> => {
      seen.push(device)
    }
    const again = await attach(dom0, 'a', {}, { handOver })
    expect(seen).toEqual([again.device])
  })

  test('does not get what is not the volume expected', async () => {
    const dom0 = createDom0()
    const expected = { wwid: `3${'6'.repeat(32)}` }
    const handOver = async (): Promise<void> => expect.fail('handed over')
    await expect(attach(dom0, 'a', { expected }, { handOver })).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
    expect(dom0.leftovers()).toEqual([])
  })

  test.each(['a', VBD_1])('that fails undoes the attach of %s, and its error is what the caller gets', async owner => {
    const dom0 = createDom0()
    if (owner === VBD_1) dom0.xen.addBackend({ domid: 1, devid: 51712 })
    const { vbds } = dom0.state()
    const error = new Error('xenstore says no')
    const handOver = async (): Promise<never> => await Promise.reject(error)
    await expect(attach(dom0, owner, {}, { handOver })).rejects.toBe(error)
    expect(dom0.leftovers()).toEqual(vbds.map(path => `vbds: ${path}`))
    expect(await dom0.host.files.list(LOCK_FOLDER)).toEqual([])
    expect((await attach(dom0, owner)).outcome).toBe('attached')
  })

  test('that leaves the device open cannot be undone, and is ended by reconcile() when it is closed', async () => {
    const dom0 = createDom0()
    let open: { close(): void } | undefined
    const handOver = async ({ device }: HandedOver): Promise<never> => {
      open = dom0.openDevice(device)
      return await Promise.reject(new Error('no'))
    }
    await expect(attach(dom0, 'a', {}, { handOver })).rejects.toMatchObject({ code: 'ATTACH_NOT_UNDONE' })
    expect(await ownersOf(dom0.host)).toHaveProperty('a')
    open?.close()
    const { failed } = await reconcile({ apply: true, host: dom0.host })
    expect(failed).toEqual([])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is not called once the attach is aborted', async () => {
    const dom0 = createDom0()
    const stop = new AbortController()
    const onEvent: AttachOptions['onEvent'] = event => {
      if (event.type === 'end' && event.step === 'identity') stop.abort(new Error('enough'))
    }
    const handOver = async (): Promise<void> => expect.fail('handed over')
    await expect(attach(dom0, 'a', {}, { handOver, onEvent, signal: stop.signal })).rejects.toThrow('enough')
    expect(dom0.leftovers()).toEqual([])
  })

  test('that ends after the deadline is not undone: somebody may use the device', async () => {
    const dom0 = createDom0()
    const handOver = async (): Promise<void> => await dom0.host.clock.sleep(40_000)
    expect((await attach(dom0, 'a', {}, { handOver })).outcome).toBe('attached')
    expect(await ownersOf(dom0.host)).toEqual({ a: 'attached' })
  })

  test('writes xenstore as a block script does, and the guest has its disk', async () => {
    const dom0 = createDom0()
    const { path } = dom0.xen.addBackend({ domid: 1, devid: 51712 })
    const xenstore = createXenstore(dom0.host)
    const handOver = async ({ deviceNumber: { major, minor } }: HandedOver): Promise<void> =>
      await xenstore.write({ [`${path}/physical-device`]: `${major.toString(16)}:${minor.toString(16)}` })
    await attach(dom0, path, {}, { handOver })
    expect(await xenstore.read(`${path}/state`)).toBe('4')
    await expect(detach(dom0, path)).rejects.toMatchObject({ code: 'LUN_IN_USE' })
    await xenstore.rm(path)
    expect(await detach(dom0, path)).toEqual(['detached'])
    expect(dom0.leftovers()).toEqual([])
  })
})

describe("Xen's lock of block scripts", () => {
  test('is held while a domain gets its disk, and is gone afterwards', async () => {
    const dom0 = createDom0()
    const script = dom0.startUser()
    const seen: unknown[] = []
    const handOver = async (): Promise<void> => {
      seen.push(await isFree(script), await dom0.host.files.list(LOCK_FOLDER))
    }
    await attach(dom0, `/local/domain/0/${VBD_1}`, {}, { handOver })
    expect(seen).toEqual([false, ['block']])
    expect(await dom0.host.files.list(LOCK_FOLDER)).toEqual([])
    expect(await isFree(script)).toBe(true)
  })

  test('lets the script that waits for it in afterwards, into a lock of its own', async () => {
    const dom0 = createDom0()
    const script = dom0.startUser()
    const order: string[] = []
    let waiting: Promise<void> = Promise.resolve()
    const handOver = async (): Promise<void> => {
      const enter = async (): Promise<void> => {
        order.push(`script, ${(await dom0.host.files.list(LOCK_FOLDER)).join()}`)
      }
      waiting = createFlock(script.host).withLock(LOCK, enter, { timeoutMs: 20_000 })
      await dom0.host.clock.sleep(5000)
      order.push('handed over')
    }
    await attach(dom0, VBD_1, {}, { handOver })
    await waiting
    expect(order).toEqual(['handed over', 'script, block'])
    expect(await dom0.host.files.list(LOCK_FOLDER)).toEqual([])
  })

  test('is waited for, no longer than the attach may take', async () => {
    const dom0 = createDom0()
    const script = dom0.startUser()
    const handOver = async (): Promise<void> => expect.fail('handed over')
    const held = async (): Promise<void> => {
      await expect(attach(dom0, VBD_1, {}, { handOver, timeoutMs: 5000 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    }
    await createFlock(script.host).withLock(LOCK, held, { timeoutMs: 1000 })
    expect(dom0.leftovers()).toEqual([])
    expect(await dom0.host.files.list(LOCK_FOLDER)).toEqual([])
  })

  test('is no matter of an owner that is no domain', async () => {
    const dom0 = createDom0()
    const script = dom0.startUser()
    const seen: unknown[] = []
    await attach(dom0, 'a', {}, { handOver: async () => void seen.push(await isFree(script)) })
    expect(seen).toEqual([true])
  })

  test('is let go of by a process that is killed', async () => {
    const dom0 = createDom0()
    const user = dom0.startUser()
    const handedOver = new Promise<void>(resolve => {
      const handOver = async (): Promise<void> => {
        resolve()
        await new Promise(() => {})
      }
      void attach(user, VBD_1, {}, { handOver })
    })
    await handedOver
    expect(await isFree(dom0)).toBe(false)
    user.kill()
    expect(await isFree(dom0)).toBe(true)
  })
})

describe('two domains that get one volume at the same time', () => {
  const places = [{}, { target: alias, lun: 5 }] as const

  test.each([0, 20, 100, 200, 400])(
    'through two targets, the second %i ms later: one of them has it',
    async laterMs => {
      const dom0 = createDom0()
      const users = [dom0, dom0.startUser()] as const
      const handed: string[] = []
      const add = async (n: 0 | 1, owner: string): Promise<string> => {
        await dom0.host.clock.sleep(n * laterMs)
        dom0.xen.addBackend({ domid: n + 1, devid: 51712 })
        const handOver = async (): Promise<void> => void handed.push(owner)
        return await attach(users[n], owner, places[n], { handOver }).then(
          () => 'has it',
          (error: unknown) => (isLunError(error) ? error.code : String(error))
        )
      }
      const outcomes = await Promise.all([add(0, VBD_1), add(1, VBD_2)])
      expect(outcomes.toSorted((a, b) => a.localeCompare(b))).toEqual(['has it', 'LUN_SHARED'])
      const winner = outcomes.indexOf('has it') as 0 | 1
      expect(handed).toEqual([[VBD_1, VBD_2][winner]])
      const { lun = 0, target } = places[winner] as { readonly target?: string; readonly lun?: number }
      expect(await detach(dom0, handed[0], lun, target)).toEqual(['detached'])
      expect(dom0.leftovers()).toHaveLength(2) // their backends
    }
  )

  test('of one LUN: one of them has it', async () => {
    const dom0 = createDom0()
    const other = dom0.startUser()
    for (const domid of [1, 2]) dom0.xen.addBackend({ domid, devid: 51712 })
    const outcomes = await Promise.allSettled([attach(dom0, VBD_1), attach(other, VBD_2)])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(outcomes[1]).toMatchObject({ reason: { code: 'LUN_SHARED', details: { backend: VBD_1 } } })
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
  })
})
