import { expect, test } from 'vitest'
import { type Attachment, attachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const PAGE = 4096
const of = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(PAGE, '.'))

interface Attached {
  readonly dom0: SimulatedDom0
  readonly lun: Attachment
  /** The first bytes of the device. */
  readonly read: (options?: { readonly isDirect?: boolean }) => Promise<string>
}

async function createAttached(): Promise<Attached> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  const lun = await attachLun({ target, portals: dom0.san.portals }, dom0)
  await dom0.san.writeVolume('v0', 0, of('old'))
  const read: Attached['read'] = async options =>
    new TextDecoder().decode(await dom0.host.files.readAt(lun.device, 0, PAGE, options)).replaceAll('.', '')
  return { dom0, lun, read }
}

test('while somebody has a device open, what was read is not asked for again', async () => {
  const { dom0, lun, read } = await createAttached()
  expect(await read()).toBe('old')
  const device = dom0.openDevice(lun.device)
  expect(await read()).toBe('old')
  await dom0.san.writeVolume('v0', 0, of('new'))
  expect([await read(), await read({ isDirect: true }), await read()]).toEqual(['old', 'new', 'old'])
  device.close()
  expect(await read()).toBe('new')
})

test('what nobody has open is read from the array', async () => {
  const { dom0, lun, read } = await createAttached()
  expect(await read()).toBe('old')
  await dom0.san.writeVolume('v0', 0, of('new'))
  expect(await read()).toBe('new')
  dom0.openDevice(lun.device).close()
  expect(await read()).toBe('new')
})

test('pages are read where no path works, and nothing directly', async () => {
  const { dom0, lun, read } = await createAttached()
  dom0.openDevice(lun.device)
  await read()
  await dom0.san.killTarget(target)
  await dom0.host.clock.sleep(30_000)
  expect(await read()).toBe('old')
  await expect(read({ isDirect: true })).rejects.toMatchObject({ code: 'EIO' })
})

test('what this host writes is in its pages', async () => {
  const { dom0, lun, read } = await createAttached()
  dom0.openDevice(lun.device)
  await read()
  await dom0.writeDevice(lun.device, 1, of('wn').subarray(0, 2))
  expect([await read(), await read({ isDirect: true })]).toEqual(['own', 'own'])
  expect(new TextDecoder().decode(await dom0.host.files.readAt(lun.device, PAGE - 2, 4))).toBe('..\0\0')
})

test('a disk below a map is open, as device-mapper has it', async () => {
  const { dom0 } = await createAttached()
  const first = async (): Promise<number | undefined> => (await dom0.host.files.readAt('/dev/sda', 0, 1))[0]
  const before = await first()
  await dom0.san.writeVolume('v0', 0, of('new'))
  expect(await first()).toBe(before)
})
