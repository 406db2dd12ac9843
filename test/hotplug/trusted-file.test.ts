import { describe, expect, test } from 'vitest'
import { resolveTarget } from '../../src/hotplug/request.ts'
import { readSettings } from '../../src/hotplug/settings.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'

const NAME = 'iqn.2001-05.com.example:vm1'
const NOBODY = 65_534

type Reader = (files: MemoryFiles) => Promise<unknown>

/** Everything that tells the script what to do as root: where it is, what stands in it, and what is read out of it. */
const KINDS: readonly (readonly [path: string, text: string, read: Reader, answer: unknown])[] = [
  [
    '/etc/xen-lun/vm1.json',
    `{"target":"${NAME}","sharing":"allowed"}`,
    async files => await resolveTarget(files, '/etc/xen/scripts', 'vm1'),
    { target: NAME, sharing: 'allowed' },
  ],
  ['/etc/xen-lun.json', '{"minPaths":2}', readSettings, expect.objectContaining({ minPaths: 2 })],
  [
    '/etc/xen/scripts/block-iscsi.conf',
    'PORTALS=(10.0.1.1)',
    async files => await resolveTarget(files, '/etc/xen/scripts', NAME),
    { target: NAME, portals: ['10.0.1.1'] },
  ],
]

describe.each(KINDS)('%s', (path, text, read, answer) => {
  /** It, and every folder above it. */
  const above = path.split('/').flatMap((_, n, names) => (n === 0 ? [] : [names.slice(0, n + 1).join('/')]))
  const create = (): MemoryFiles => createMemoryFiles({ files: { [path]: text } })

  test("is obeyed if it is root's, and nobody else can write it or its folders", async () => {
    const files = create()
    for (const each of above.slice(0, -1)) files.modes.set(each, 0o755)
    expect(await read(files)).toEqual(answer)
  })

  test.each(above)("is refused if %s is somebody else's", async each => {
    const files = create()
    files.owners.set(each, NOBODY)
    await expect(read(files)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(`"${each}" belongs to user ${NOBODY}, not to root`),
    })
  })

  test.each(above)('is refused if %s may be written by others', async each => {
    for (const mode of [0o720, 0o702, 0o777, 0o1777]) {
      const files = create()
      files.modes.set(each, mode)
      await expect(read(files)).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringMatching(`"${each}" may be (?:written|read) by others`),
      })
    }
  })

  test('is refused if a link to it leads into what others may write', async () => {
    for (const change of ['owners', 'modes'] as const) {
      const files = createMemoryFiles({ files: { '/srv/shared/file': text }, links: { [path]: '/srv/shared/file' } })
      expect(await read(files)).toEqual(answer)
      files[change].set('/srv/shared', 0o777)
      await expect(read(files)).rejects.toThrow('"/srv/shared"')
    }
  })

  test('is refused if it is a folder', async () => {
    await expect(read(createMemoryFiles({ files: { [`${path}/x`]: '' } }))).rejects.toThrow(`"${path}" is no file`)
  })
})
