import { expect, test } from 'vitest'
import { type Attachment, attachLun, createMultipath } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type VolumeSpec } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const RESCAN = '/sys/block/sda/device/rescan'
const SECTORS = { 64: '131072\n', 128: '262144\n' }

const create = (volume: Partial<VolumeSpec> = {}): SimulatedDom0 =>
  createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64, ...volume }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })

async function createAttached(volume?: Partial<VolumeSpec>): Promise<{ dom0: SimulatedDom0; lun: Attachment }> {
  const dom0 = create(volume)
  return { dom0, lun: await attachLun({ target, portals: dom0.san.portals }, dom0) }
}

const sizeOf = async ({ host }: SimulatedDom0, name = 'sda'): Promise<string | undefined> =>
  await host.files.read(`/sys/block/${name}/size`)

test('a rescan that takes its time leaves the old size until it is through', async () => {
  const { dom0 } = await createAttached()
  await dom0.san.setInquiries('10.0.1.1:3260', { takesMs: 700 })
  await dom0.san.resizeVolume('v0', 128)
  const begun = dom0.host.clock.now()
  const rescan = dom0.host.files.write(RESCAN, '1')
  await dom0.host.clock.sleep(600)
  expect(await sizeOf(dom0)).toBe(SECTORS[64])
  expect(await rescan).toBe(true)
  expect([await sizeOf(dom0), dom0.host.clock.now() - begun]).toEqual([SECTORS[128], 700])
})

test('a rescan that fails leaves it', async () => {
  const { dom0 } = await createAttached()
  await dom0.san.setInquiries('10.0.1.1:3260', { isFailing: true })
  await dom0.san.resizeVolume('v0', 128)
  await expect(dom0.host.files.write(RESCAN, '1')).rejects.toMatchObject({ code: 'EIO' })
  expect(await sizeOf(dom0)).toBe(SECTORS[64])
  await dom0.san.setInquiries('10.0.1.1:3260', {})
  await dom0.host.files.write(RESCAN, '1')
  expect(await sizeOf(dom0)).toBe(SECTORS[128])
})

test('over a portal that was just cut it ends well, changes nothing, and the session seems to live', async () => {
  const { dom0 } = await createAttached()
  await dom0.san.resizeVolume('v0', 128)
  await dom0.san.cutPortal('10.0.1.1:3260')
  expect(await dom0.host.files.write(RESCAN, '1')).toBe(true)
  expect(dom0.state().sessions.map(({ state }) => state)).toEqual(['LOGGED_IN', 'LOGGED_IN'])
  expect(await sizeOf(dom0)).toBe(SECTORS[64])
})

test('if it waits, it does until the session is given up', async () => {
  const { dom0 } = await createAttached()
  await dom0.san.setInquiries('10.0.1.1:3260', { isWaiting: true })
  await dom0.san.resizeVolume('v0', 128)
  await dom0.san.cutPortal('10.0.1.1:3260')
  const state = (): string | undefined => dom0.state().sessions.find(({ portal }) => portal === '10.0.1.1:3260')?.state
  expect(state()).toBe('LOGGED_IN')
  expect(await dom0.host.files.write(RESCAN, '1')).toBe(true)
  expect([state(), await sizeOf(dom0)]).toEqual(['FREE', SECTORS[64]])
  expect(dom0.host.clock.now()).toBeGreaterThan(15_000)
})

test('if it waits, and the portal comes back, it learns what is new', async () => {
  const { dom0 } = await createAttached()
  await dom0.san.setInquiries('10.0.1.1:3260', { isWaiting: true })
  await dom0.san.resizeVolume('v0', 128)
  await dom0.san.cutPortal('10.0.1.1:3260')
  const rescan = dom0.host.files.write(RESCAN, '1')
  await dom0.host.clock.sleep(2000)
  await dom0.san.restorePortal('10.0.1.1:3260')
  expect([await rescan, await sizeOf(dom0)]).toEqual([true, SECTORS[128]])
})

test('a volume that is read-only makes disks, partitions and maps that are', async () => {
  const { dom0, lun } = await createAttached({ isReadOnly: true })
  const ro = async (name: string): Promise<string | undefined> => await dom0.host.files.read(`/sys/block/${name}/ro`)
  expect([await ro('sda'), await ro('sdb'), await ro('dm-0')]).toEqual(['1\n', '1\n', '1\n'])
  const { stdout } = await dom0.host.executor.exec({
    file: 'multipathd',
    args: ['show', 'maps', 'json'],
    decode: () => '',
  })
  expect(stdout).toContain('"write_prot" : "ro"')
  await expect(dom0.writeDevice(lun.device, 0, Uint8Array.of(1))).rejects.toMatchObject({ code: 'EROFS' })
  expect((await createAttached()).lun.sizeBytes).toBe(lun.sizeBytes)
})

test('in standby a path has the size 0 and carries nothing, until it is asked again', async () => {
  const { dom0, lun } = await createAttached()
  await dom0.san.setStandby('10.0.1.1:3260', true)
  await dom0.host.files.write(RESCAN, '1')
  await dom0.host.clock.sleep(5000)
  expect([await sizeOf(dom0), await sizeOf(dom0, 'sdb')]).toEqual(['0\n', SECTORS[64]])
  const states = async (): Promise<readonly string[]> =>
    (await createMultipath(dom0.host).paths()).map(({ dmState }) => dmState)
  expect(await states()).toEqual(['failed', 'active'])
  await expect(dom0.readDevice('/dev/sda', 0, 1)).rejects.toMatchObject({ code: 'EIO' })
  expect(await dom0.readDevice(lun.device, 0, 1)).toHaveLength(1)
  await dom0.san.setStandby('10.0.1.1:3260', false)
  await dom0.host.clock.sleep(5000)
  expect([await sizeOf(dom0), await states()]).toEqual(['0\n', ['active', 'active']])
  await dom0.host.files.write(RESCAN, '1')
  expect(await sizeOf(dom0)).toBe(SECTORS[64])
})

test('a disk that is in standby from the start gets no map', async () => {
  const dom0 = create()
  for (const portal of dom0.san.portals) await dom0.san.setStandby(portal, true)
  await attachLun({ target, portals: dom0.san.portals }, { ...dom0, timeoutMs: 5000 }).catch(() => {})
  expect(dom0.state().maps).toEqual([])
})
