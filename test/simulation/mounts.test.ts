import { expect, test } from 'vitest'
import { type Attachment, attachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'

interface Attached {
  readonly dom0: SimulatedDom0
  readonly lun: Attachment
  /** Line by line. */
  readonly mountinfo: (pid?: number | 'self') => Promise<readonly string[]>
}

async function createAttached(): Promise<Attached> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  const mountinfo = async (pid: number | 'self' = 'self'): Promise<readonly string[]> =>
    ((await dom0.host.files.read(`/proc/${pid}/mountinfo`)) ?? '').split('\n').slice(0, -1)
  return { dom0, lun: await attachLun({ target, portals: dom0.san.portals }, dom0), mountinfo }
}

test('every process sees what a host always has mounted', async () => {
  const { mountinfo } = await createAttached()
  const fields = (await mountinfo()).map(line => line.split(' '))
  expect(fields.map(each => `${each[4]} ${each[8]}`)).toEqual([
    '/ ext4',
    '/sys sysfs',
    '/proc proc',
    '/dev devtmpfs',
    '/run tmpfs',
  ])
  const [root = []] = fields
  expect(fields.slice(1).every(each => each[1] === root[0])).toBe(true)
})

test('btrfs has a number of its own, and the device as its source only', async () => {
  const { dom0, lun, mountinfo } = await createAttached()
  const mounted = dom0.mount(lun.device, '/srv', { fsType: 'btrfs' })
  const line = (await mountinfo()).at(-1)
  expect(line).toMatch(/^\d+ \d+ 0:\d+ \/ \/srv rw,relatime shared:1 - btrfs \S+ rw$/)
  expect(line?.split(' ').at(-2)).toBe(lun.device)
  expect(await dom0.host.files.isClaimed(lun.device)).toBe(true)
  mounted.unmount()
  expect(await dom0.host.files.isClaimed(lun.device)).toBe(false)
})

test('a mount elsewhere is claimed, and seen by who lives there', async () => {
  const { dom0, lun, mountinfo } = await createAttached()
  const before = await mountinfo()
  const hidden = dom0.mount(lun.device, '/hidden', { isElsewhere: true })
  expect(await mountinfo()).toEqual(before)
  expect(await dom0.host.files.isClaimed(lun.device)).toBe(true)
  hidden.unmount()

  const mounted = dom0.mount(lun.device, '/data', { isElsewhere: true, pid: 4711 })
  expect(await mountinfo()).toEqual(before)
  const theirs = await mountinfo(4711)
  expect(theirs.at(-1)).toContain(` 253:0 / /data rw,relatime shared:1 - ext4 ${lun.device} rw`)
  const ids = (lines: readonly string[]): readonly (string | undefined)[] => lines.map(line => line.split(' ')[0])
  expect(ids(theirs).filter(id => ids(before).includes(id))).toEqual([])
  mounted.unmount()
  expect(await mountinfo(4711)).toHaveLength(before.length)
  expect(await dom0.host.files.isClaimed(lun.device)).toBe(false)
})
