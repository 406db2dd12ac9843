import { describe, expect, test } from 'vitest'
import { attachLun, createMultipath, type MultipathMap } from 'xen-lun'
import { createSimulatedDom0, type MultipathSettings, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const data = new TextEncoder().encode('hello')

async function createAttached(multipath: Partial<MultipathSettings>): Promise<{ dom0: SimulatedDom0; device: string }> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
    multipath,
  })
  const { device } = await attachLun({ target, portals: dom0.san.portals }, dom0)
  return { dom0, device }
}

async function killTarget({ san, host }: SimulatedDom0): Promise<void> {
  await san.killTarget(target)
  await host.clock.sleep(60_000)
}

const mapOf = async ({ host }: SimulatedDom0): Promise<MultipathMap | undefined> =>
  (await createMultipath(host).maps())[0]

/** What becomes of a write; `waiting` while nothing has. */
function startWrite(dom0: SimulatedDom0, device: string): { outcome: string } {
  const write = { outcome: 'waiting' }
  dom0.writeDevice(device, 0, data).then(
    () => {
      write.outcome = 'written'
    },
    (error: unknown) => {
      write.outcome = String(error)
    }
  )
  return write
}

describe('what multipathd says', () => {
  test.each([
    [{}, '-', false, '-'],
    [{ noPathRetry: 'fail' }, 'off', false, 'off'],
    [{ noPathRetry: 'queue' }, 'on', true, 'on'],
  ] as const)('with %o', async (settings, queueing, queuesIfNoPath, restored) => {
    const { dom0 } = await createAttached(settings)
    const multipath = createMultipath(dom0.host)
    const map = await mapOf(dom0)
    expect(map).toMatchObject({ queueing, queuesIfNoPath })
    const name = map?.name ?? ''
    await multipath.disableQueueing(name)
    expect(await mapOf(dom0)).toMatchObject({ queueing: 'off', queuesIfNoPath: false })
    await multipath.restoreQueueing(name)
    expect(await mapOf(dom0)).toMatchObject({ queueing: restored, queuesIfNoPath })
  })
})

describe('while no path works', () => {
  test.each([{}, { noPathRetry: 'fail' }] as const)('I/O fails with %o', async settings => {
    const { dom0, device } = await createAttached(settings)
    await killTarget(dom0)
    await expect(dom0.writeDevice(device, 0, data)).rejects.toThrow('EIO')
  })

  test('I/O waits on a map that queues, has it open, and fails when queueing is disabled', async () => {
    const { dom0, device } = await createAttached({ noPathRetry: 'queue' })
    await killTarget(dom0)
    const write = startWrite(dom0, device)
    await dom0.host.clock.sleep(600_000)
    expect(write.outcome).toBe('waiting')
    const multipath = createMultipath(dom0.host)
    const name = device.replace('/dev/mapper/', '')
    await expect(multipath.flush(name)).rejects.toMatchObject({ code: 'MAP_BUSY' })
    await multipath.disableQueueing(name)
    await dom0.host.clock.sleep(100)
    expect(write.outcome).toContain('EIO')
    await multipath.flush(name)
    expect(dom0.state().maps).toEqual([])
  })

  test('queued I/O goes on when a path is back', async () => {
    const { dom0, device } = await createAttached({ noPathRetry: 'queue' })
    await killTarget(dom0)
    const writing = dom0.writeDevice(device, 0, data)
    await dom0.host.clock.sleep(60_000)
    await dom0.san.startTarget(target)
    await writing
    expect(await dom0.san.readVolume('v0', 0, data.length)).toEqual(data)
  })

  test('I/O of what lies on the map waits, too', async () => {
    const { dom0, device } = await createAttached({ noPathRetry: 'queue' })
    const stacked = dom0.stackDevice({ on: device, name: 'vg-lv', uuid: 'LVM-abc' })
    await killTarget(dom0)
    const write = startWrite(dom0, stacked.path)
    await dom0.host.clock.sleep(60_000)
    expect(write.outcome).toBe('waiting')
    expect(() => stacked.remove()).toThrow('in use')
  })

  test('a multipathd that ends turns queueing off, and on again when it starts', async () => {
    const { dom0, device } = await createAttached({ noPathRetry: 'queue' })
    await killTarget(dom0)
    const write = startWrite(dom0, device)
    await dom0.daemons.multipathd.stop()
    await dom0.host.clock.sleep(100)
    expect(write.outcome).toContain('EIO')
    await dom0.daemons.multipathd.start()
    expect(await mapOf(dom0)).toMatchObject({ queueing: 'on', queuesIfNoPath: true })
  })

  test('a LUN that the target does not know any more fails at once', async () => {
    const { dom0, device } = await createAttached({})
    await dom0.san.unmapLun(target, 0)
    await expect(dom0.readDevice(device, 0, 512)).rejects.toThrow('EIO')
  })
})
