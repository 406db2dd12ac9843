import { describe, expect, test } from 'vitest'
import { type Attachment, attachLun, detachLun, type LunEvent } from 'xen-lun'
import type { SimulatedDom0, SimulatedUser } from 'xen-lun/testing'
import { address, createDom0, cutAll } from '../helpers.ts'

/** Detaches, and tells when the devices were deleted, or not, and what was warned of. */
async function detach(
  dom0: SimulatedDom0,
  options: Parameters<typeof detachLun>[1] = {}
): Promise<{ readonly result: unknown; readonly tookMs: number; readonly warnings: readonly string[] }> {
  const warnings: string[] = []
  let tookMs = 0
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'warning') warnings.push(event.message)
    if (event.type === 'end' && event.step === 'delete') tookMs = event.elapsedMs
  }
  const result = await detachLun(address, { host: dom0.host, onEvent, ...options }).catch((error: unknown) => error)
  return { result, tookMs, warnings }
}

async function attachDisk(): Promise<{ readonly dom0: SimulatedDom0; readonly lun: Attachment }> {
  // multipathd would not wait as long for a session.
  const dom0 = createDom0({ faults: { stopped: ['multipathd'] } })
  const portals = dom0.san.portals.slice(0, 1)
  return { dom0, lun: await attachLun({ ...address, portals, multipath: 'never' }, dom0) }
}

const cut = async ({ san, host }: SimulatedDom0, ms: number): Promise<void> => {
  await san.cutPortal(san.portals[0])
  await host.clock.sleep(ms)
}

describe('a plain disk whose path is gone', () => {
  test.each([false, true])(
    'is detached where nobody uses it, and it is said what may be lost; force %j',
    async force => {
      const { dom0 } = await attachDisk()
      await cut(dom0, 300_000)
      const { result, tookMs, warnings } = await detach(dom0, { force })
      expect(result).toMatchObject({ outcome: 'detached', writes: 'unknown' })
      expect(warnings).toEqual([expect.stringMatching(/^sda was deleted, and what was written .* may be lost: EIO/)])
      expect(tookMs).toBeLessThan(5000)
      expect(dom0.leftovers()).toEqual([])
    }
  )

  test('but may come back stays, soon and with the reason, unless by force', async () => {
    const { dom0 } = await attachDisk()
    await cut(dom0, 15_000)
    const before = dom0.state()
    const { result, tookMs } = await detach(dom0, { busyMs: 2000 })
    expect(result).toMatchObject({
      code: 'DETACH_INCOMPLETE',
      message: expect.stringMatching(/write what is cached of sda: .*does not work but may again; force gives up/),
      details: { steps: [{ step: 'write what is cached of sda' }] },
    })
    expect(tookMs).toBeLessThan(4000)
    expect(dom0.state().disks).toEqual(before.disks)
    const forced = await detach(dom0, { force: true, busyMs: 2000 })
    expect(forced.result).toMatchObject({ outcome: 'detached', writes: 'lost' })
    expect(forced.warnings).toEqual([
      expect.stringMatching(/^sda was deleted, and what was to be written to it is lost/),
    ])
    expect(dom0.leftovers()).toEqual([])
  })

  test('is waited for while it may yet write', async () => {
    const { dom0 } = await attachDisk()
    await cut(dom0, 15_000)
    const back = dom0.host.clock.sleep(3000).then(async () => await dom0.san.restorePortal(dom0.san.portals[0]))
    const { result, warnings } = await detach(dom0, { busyMs: 20_000 })
    expect(result).toMatchObject({ outcome: 'detached', writes: 'written' })
    expect(warnings).toEqual([])
    await back
  })

  test('stays while somebody has it open, by force too', async () => {
    const { dom0 } = await attachDisk()
    dom0.openDevice('/dev/sda', 4711, 'dd')
    await cut(dom0, 300_000)
    for (const force of [false, true]) {
      const { result } = await detach(dom0, { force })
      expect(result).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ name: '4711 dd' }] } })
    }
  })
})

test.each([['EACCES'], ['EMFILE']])(
  'a disk that could not be opened for its last write (%s) stays, with the reason',
  async code => {
    const { dom0 } = await attachDisk()
    const { files } = dom0.host
    const sync = async (path: string): Promise<boolean> =>
      path === '/dev/sda'
        ? await Promise.reject(Object.assign(new Error(`${code}: open`), { code }))
        : await files.sync(path)
    const { result, tookMs } = await detach(dom0, { host: { ...dom0.host, files: { ...files, sync } } })
    expect(result).toMatchObject({
      code: 'DETACH_INCOMPLETE',
      details: { steps: [{ step: 'write what is cached of sda', message: `${code}: open` }] },
    })
    expect(tookMs).toBeLessThan(5000)
    expect((await detach(dom0)).result).toMatchObject({ outcome: 'detached', writes: 'written' })
  }
)

test('the disks of a map that was flushed before a crash are detached though they are dead', async () => {
  let victim: SimulatedUser | undefined
  const dom0 = createDom0({
    policy: ready => {
      if (ready[0]?.process === victim?.pid && ready[0]?.call.endsWith('/delete') === true) victim?.kill()
      return 0
    },
  })
  await attachLun({ ...address, portals: dom0.san.portals }, dom0)
  await cutAll(dom0)
  victim = dom0.startUser()
  detachLun(address, { host: victim.host }).catch(() => {})
  await dom0.host.clock.sleep(1000)
  expect([dom0.state().maps, dom0.state().disks.map(({ name }) => name)]).toEqual([[], ['sda', 'sdb']])
  const { result, tookMs } = await detach(dom0)
  expect(result).toMatchObject({ outcome: 'detached', writes: 'unknown' })
  expect(tookMs).toBeLessThan(5000)
  expect(dom0.leftovers()).toEqual([])
})

test('a delete that fails is the reason, and multipathd is not waited for', async () => {
  const dom0 = createDom0()
  await attachLun({ ...address, portals: dom0.san.portals }, dom0)
  const { files } = dom0.host
  const write = async (path: string, text: string): Promise<boolean> =>
    path.includes('0:0:0:0/device/delete')
      ? await Promise.reject(new Error('EPERM: delete'))
      : await files.write(path, text)
  const { result, tookMs } = await detach(dom0, { host: { ...dom0.host, files: { ...files, write } } })
  expect(result).toMatchObject({
    code: 'DETACH_INCOMPLETE',
    details: { steps: [{ step: 'delete SCSI device 0:0:0:0', message: 'EPERM: delete' }] },
  })
  expect(tookMs).toBeLessThan(5000)
})

describe('before it is deleted, what is cached is written of', () => {
  const syncs = async (use: (dom0: SimulatedDom0) => Promise<void>): Promise<readonly string[]> => {
    const calls: string[] = []
    const dom0 = createDom0({
      policy: ready => {
        const call = ready[0]?.call ?? ''
        if (call.startsWith('sync /dev') || call.endsWith('/delete')) calls.push(call.replace(/^.*(\d:\d:\d:\d)/, '$1'))
        return 0
      },
    })
    await attachLun({ ...address, portals: dom0.san.portals }, dom0)
    await use(dom0)
    calls.length = 0
    expect(await detachLun(address, dom0)).toMatchObject({ writes: 'written' })
    return calls.toSorted((a, b) => Number(b.startsWith('sync')) - Number(a.startsWith('sync')))
  }

  test('each path of a map, should somebody have written to it by itself', async () => {
    const deletes = ['0:0:0:0/device/delete', '1:0:0:0/device/delete']
    expect(new Set(await syncs(async () => {}))).toEqual(new Set(['sync /dev/sda', 'sync /dev/sdb', ...deletes]))
  })

  test('no path of a map that does not work', async () => {
    const cut = async (dom0: SimulatedDom0): Promise<void> => {
      await dom0.san.cutPortal(dom0.san.portals[1])
      await dom0.host.clock.sleep(60_000)
    }
    expect((await syncs(cut)).filter(call => call.startsWith('sync'))).toEqual(['sync /dev/sda'])
  })

  test('a path that is in no map', async () => {
    const drop = async ({ host: { executor } }: SimulatedDom0): Promise<void> => {
      await executor.exec({ file: 'multipathd', args: ['del', 'path', 'sdb'], decode: () => '' })
    }
    expect((await syncs(drop))[0]).toBe('sync /dev/sdb')
  })

  test('a path that somebody lets go of just now', async () => {
    const use = async (dom0: SimulatedDom0): Promise<void> => {
      const open = dom0.openDevice('/dev/sda', 300, '(udev-worker)')
      void dom0.host.clock.sleep(1000).then(() => open.close())
    }
    expect((await syncs(use))[0]).toBe('sync /dev/sda')
  })
})
