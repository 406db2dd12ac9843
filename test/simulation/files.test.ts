import { describe, expect, test } from 'vitest'
import { type Files, type Host, run } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'
import { until } from '../../src/flow/until.ts'
import { createMemoryFiles } from '../support/memory-files.ts'

const kinds: readonly (readonly [string, () => Files])[] = [
  ['the simulated dom0', () => createSimulatedDom0().host.files],
  ['files in memory', () => createMemoryFiles()],
]

describe.each(kinds)('inodes of %s', (_, create) => {
  test('a new file has a new one; a hard link and a write in place keep it', async () => {
    const files = create()
    const inodeOf = async (path: string): Promise<number | undefined> => (await files.stat(path))?.inode
    await files.makeDirectory('/run/x', 0o700)
    await files.replace('/run/x/a', 'one', 0o600)
    const first = await inodeOf('/run/x/a')
    expect(first).toBeGreaterThan(0)
    await files.link('/run/x/a', '/run/x/b')
    await files.write('/run/x/a', 'changed')
    expect([await inodeOf('/run/x/a'), await inodeOf('/run/x/b')]).toEqual([first, first])

    await files.replace('/run/x/a', 'two', 0o600)
    const second = await inodeOf('/run/x/a')
    expect([second === first, await inodeOf('/run/x/b')]).toEqual([false, first])

    await files.remove('/run/x/a')
    expect(await inodeOf('/run/x/a')).toBeUndefined()
    await files.withDescriptor('/run/x/a', async () => {})
    expect([first, second]).not.toContain(await inodeOf('/run/x/a'))
  })
})

describe('files of the simulated dom0', () => {
  test('are stamped when they are written, and by nothing else', async () => {
    const { files, clock } = createSimulatedDom0().host
    const writtenMs = async (path: string): Promise<number> => (await files.stat(path))?.mtimeMs ?? 0
    await files.makeDirectory('/run/x', 0o700)
    await files.replace('/run/x/a', 'one', 0o600)
    const first = await writtenMs('/run/x/a')
    expect(first).toBeGreaterThan(Date.UTC(2025, 0, 1) - 1)
    await clock.sleep(500)
    await files.link('/run/x/a', '/run/x/b')
    expect([await writtenMs('/run/x/a'), await writtenMs('/run/x/b')]).toEqual([first, first])
    await files.write('/run/x/a', 'two')
    expect(await writtenMs('/run/x/b')).toBe(first + 500)
  })

  test('are not put in the place of a folder', async () => {
    const { files } = createSimulatedDom0().host
    await files.makeDirectory('/run/x/a', 0o700)
    await files.makeDirectory('/run/x/.b.draft', 0o700)
    await expect(files.replace('/run/x/a', '', 0o600)).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(files.replace('/run/x/b', '', 0o600)).rejects.toMatchObject({ code: 'ERR_FS_EISDIR' })
  })

  test('that a process has open are told by their descriptors', async () => {
    const { files } = createSimulatedDom0().host
    const pid = /^(\d+) /.exec((await files.read('/proc/self/stat')) ?? '')?.[1] ?? ''
    await files.withDescriptor('/run/a', async descriptor => {
      expect(await files.statOpen(pid, String(descriptor))).toEqual(await files.stat('/run/a'))
    })
    expect(await files.statOpen(pid, '99')).toBeUndefined()
  })
})

describe('flock of the simulated dom0', () => {
  const path = '/run/lock/test'
  const lockOf = async ({ executor }: Pick<Host, 'executor'>, descriptor: number, seconds: string): Promise<number> =>
    await run(executor, {
      file: 'flock',
      args: ['--exclusive', '--timeout', seconds, '3'],
      descriptors: [descriptor],
      decode: ({ exitCode }) => exitCode,
    })

  test('locks the open file, whatever becomes of its name', async () => {
    const dom0 = createSimulatedDom0()
    const { files } = dom0.host
    const other = dom0.startUser().host
    await files.withDescriptor(path, async first => {
      const inode = (await files.stat(path))?.inode
      expect(await lockOf(dom0.host, first, '1')).toBe(0)
      await other.files.withDescriptor(path, async same => expect(await lockOf(other, same, '1')).toBe(1))
      await files.remove(path)
      expect((await files.stat(`/proc/self/fd/${first}`))?.inode).toBe(inode)
      await other.files.withDescriptor(path, async next => {
        expect((await other.files.stat(`/proc/self/fd/${next}`))?.inode).toBe((await files.stat(path))?.inode)
        expect((await files.stat(path))?.inode).not.toBe(inode)
        expect(await lockOf(other, next, '1')).toBe(0)
      })
    })
    expect(await files.list('/proc/self/fd')).toEqual([])
  })

  test('goes with the process that is killed', async () => {
    const dom0 = createSimulatedDom0()
    const user = dom0.startUser()
    let isHeld = false
    void user.host.files.withDescriptor(path, async descriptor => {
      isHeld = (await lockOf(user.host, descriptor, '1')) === 0
      await new Promise(() => {})
    })
    const { files } = dom0.host
    await until(dom0.host.clock, async () => isHeld, { awaited: 'the lock to be taken', timeoutMs: 1000 })
    await files.withDescriptor(path, async mine => {
      expect(await lockOf(dom0.host, mine, '1')).toBe(1)
      user.kill()
      expect(await lockOf(dom0.host, mine, '1')).toBe(0)
    })
    expect(await files.list(`/proc/${user.pid}`)).toEqual([])
  })
})
