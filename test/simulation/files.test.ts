import { describe, expect, test } from 'vitest'
import type { Files } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'
import { createMemoryFiles } from '../../src/testing/memory-files.ts'

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
