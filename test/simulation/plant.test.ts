import { expect, test } from 'vitest'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

/** Whether it ends within an hour. */
async function ends({ host }: SimulatedDom0, work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(() => true)
  return await Promise.race([ended, host.clock.sleep(3_600_000).then(() => false)])
}

test('files have an owner and a mode', async () => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  dom0.plant('/etc/a', { kind: 'file', text: 'x', uid: 1000, mode: 0o666 })
  dom0.plant('/etc/folder', { kind: 'directory', uid: 65_534, mode: 0o777 })
  expect(await files.stat('/etc/a')).toMatchObject({ kind: 'file', uid: 1000, mode: 0o666, sizeBytes: 1 })
  expect(await files.stat('/etc/folder')).toMatchObject({ kind: 'directory', uid: 65_534, mode: 0o777 })
  await files.makeDirectory('/run/mine', 0o700)
  expect(await files.stat('/run/mine')).toMatchObject({ uid: 0, mode: 0o700 })
})

test('links are followed by who reads, and by nobody who replaces, links or opens for appending', async () => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  dom0.plant('/etc/real', { kind: 'file', text: 'real' })
  for (const [name, target] of [
    ['absolute', '/etc/real'],
    ['relative', '../etc/real'],
    ['dangling', '/etc/nothing'],
  ] as const) {
    dom0.plant(`/run/${name}`, { kind: 'link', target, uid: 7 })
    expect(await files.linkStat(`/run/${name}`)).toMatchObject({ kind: 'link', uid: 7 })
    expect(await files.readLink(`/run/${name}`)).toBe(target)
    await expect(files.withDescriptor(`/run/${name}`, async () => {})).rejects.toMatchObject({ code: 'ELOOP' })
    expect(await files.link('/etc/real', `/run/${name}`)).toBe(false)
  }
  expect([await files.read('/run/absolute'), await files.read('/run/relative')]).toEqual(['real', 'real'])
  expect(await files.stat('/run/dangling')).toBeUndefined()
  await files.replace('/run/absolute', 'new', 0o600)
  expect([await files.read('/run/absolute'), await files.read('/etc/real')]).toEqual(['new', 'real'])
  expect(await files.stat('/etc/nothing')).toBeUndefined()
})

test('who opens a FIFO waits for ever; who asks what it is does not', async () => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  dom0.plant('/run/fifo', { kind: 'fifo', uid: 9, mode: 0o600 })
  expect(await files.stat('/run/fifo')).toMatchObject({ kind: 'other', uid: 9, mode: 0o600 })
  expect(await ends(dom0, files.read('/run/fifo'))).toBe(false)
  expect(await ends(dom0, files.readAt('/run/fifo', 0, 1))).toBe(false)
  expect(
    await ends(
      dom0,
      files.withDescriptor('/run/fifo', async () => {})
    )
  ).toBe(false)
  expect(await files.isClaimed('/run/fifo')).toBe(false)
  expect(await files.link('/etc/multipath.conf', '/run/fifo')).toBe(false)
  await files.replace('/run/fifo', 'x', 0o600)
  expect(await files.read('/run/fifo')).toBe('x')
})

test('a name has 255 bytes at most', async () => {
  const { files } = createSimulatedDom0().host
  const [fits, long] = [`/run/${'n'.repeat(255)}`, `/run/${'n'.repeat(254)}é`]
  const tooLong = { code: 'ENAMETOOLONG' }
  expect(await files.stat(fits)).toBeUndefined()
  await files.makeDirectory(fits, 0o700)
  await expect(files.stat(long)).rejects.toMatchObject(tooLong)
  await expect(files.read(long)).rejects.toMatchObject(tooLong)
  await expect(files.makeDirectory(`${long}/x`, 0o700)).rejects.toMatchObject(tooLong)
  await expect(files.withDescriptor(long, async () => {})).rejects.toMatchObject(tooLong)
  await expect(files.link('/etc/multipath.conf', long)).rejects.toMatchObject(tooLong)
  // Its draft has a longer name than itself.
  await expect(files.replace(`/run/${'m'.repeat(250)}`, '', 0o600)).rejects.toMatchObject(tooLong)
})
