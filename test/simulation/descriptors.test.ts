import { expect, test } from 'vitest'
import { type Attachment, attachLun, type Files } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'

async function createAttached(): Promise<{ dom0: SimulatedDom0; lun: Attachment; files: Files }> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  return { dom0, lun: await attachLun({ target, portals: dom0.san.portals }, dom0), files: dom0.host.files }
}

/** The one file a process has open. */
async function fileOf(files: Files, pid: number): Promise<{ readonly link: string; readonly info: string }> {
  const [descriptor] = await files.list(`/proc/${pid}/fd`)
  expect(await files.list(`/proc/${pid}/fdinfo`)).toEqual([descriptor])
  return { link: `/proc/${pid}/fd/${descriptor}`, info: (await files.read(`/proc/${pid}/fdinfo/${descriptor}`)) ?? '' }
}

/** The line of `mountinfo` that an fdinfo names. */
async function mountOf(files: Files, pid: number, info: string): Promise<string | undefined> {
  const id = /^mnt_id:\t(\d+)$/m.exec(info)?.[1]
  return (await files.read(`/proc/${pid}/mountinfo`))?.split('\n').find(line => line.startsWith(`${id} `))
}

/** Whether it ends within an hour. */
async function ends({ host }: SimulatedDom0, work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(() => true)
  return await Promise.race([ended, host.clock.sleep(3_600_000).then(() => false)])
}

test('an open device is a link to its node, with an fdinfo that names its mount', async () => {
  const { dom0, lun, files } = await createAttached()
  const device = dom0.openDevice(lun.device, 4711, 'dd')
  const { link, info } = await fileOf(files, 4711)
  expect(info).toMatch(/^pos:\t0\nflags:\t0100002\nmnt_id:\t\d+\nino:\t\d+\n$/)
  expect(await mountOf(files, 4711, info)).toContain(' /dev rw,relatime shared:1 - devtmpfs ')
  expect([await files.readLink(link), await files.realpath(link)]).toEqual([lun.device, lun.device])
  expect((await files.linkStat(link))?.kind).toBe('link')
  expect((await files.stat(link))?.device).toEqual({ major: 253, minor: 0 })
  device.close()
  expect([await files.list('/proc/4711/fd'), await files.list('/proc/4711/fdinfo')]).toEqual([[], []])
})

test('a node of another name is found by its number only', async () => {
  const { dom0, lun, files } = await createAttached()
  dom0.openDevice(lun.device, 4711, 'postgres', { as: '/dev/xvda' })
  const { link } = await fileOf(files, 4711)
  expect(await files.readLink(link)).toBe('/dev/xvda')
  expect([await files.realpath(link), await files.stat('/dev/xvda')]).toEqual([undefined, undefined])
  expect(await files.stat(link)).toMatchObject({ kind: 'block', device: { major: 253, minor: 0 } })
})

test.each(['nfs4', 'fuse'] as const)('of a file on %s that hangs, only what /proc says can be read', async fsType => {
  const { dom0, files } = await createAttached()
  dom0.openHungFile(4711, '/mnt/dead/file', fsType)
  const { link, info } = await fileOf(files, 4711)
  expect(await files.readLink(link)).toBe('/mnt/dead/file')
  expect(await mountOf(files, 4711, info)).toMatch(new RegExp(` 0:\\d+ / /mnt/dead rw,relatime shared:1 - ${fsType} `))
  expect((await files.linkStat(link))?.kind).toBe('link')
  for (const path of [link, '/mnt/dead/file', '/mnt/dead']) {
    expect(await ends(dom0, files.stat(path))).toBe(false)
    expect(await ends(dom0, files.realpath(path))).toBe(false)
    expect(await ends(dom0, files.read(path))).toBe(false)
  }
  expect(await ends(dom0, files.list('/mnt/dead'))).toBe(false)
  expect(await ends(dom0, files.list('/mnt'))).toBe(true)
})

test('a file that hangs in another namespace is on no path of ours', async () => {
  const { dom0, lun, files } = await createAttached()
  dom0.mount(lun.device, '/data', { isElsewhere: true, pid: 4711 })
  const before = await files.read('/proc/self/mountinfo')
  const file = dom0.openHungFile(4711, '/mnt/dead/file')
  const { link } = await fileOf(files, 4711)
  expect(await ends(dom0, files.stat(link))).toBe(false)
  expect(await files.stat('/mnt/dead/file')).toBeUndefined()
  expect(await files.read('/proc/self/mountinfo')).toBe(before)
  file.close()
  expect(await files.list('/proc/4711/fd')).toEqual([])
})

test('a file of our own that was removed says so', async () => {
  const { files } = await createAttached()
  await files.withDescriptor('/run/mine', async descriptor => {
    const link = `/proc/self/fd/${descriptor}`
    expect([await files.readLink(link), await files.realpath(link)]).toEqual(['/run/mine', '/run/mine'])
    await files.remove('/run/mine')
    expect([await files.readLink(link), await files.realpath(link)]).toEqual(['/run/mine (deleted)', undefined])
    expect((await files.stat(link))?.kind).toBe('file')
  })
})
