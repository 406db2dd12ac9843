import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createExecaExecutor } from '../../../src/host/execa.ts'
import { createNodeFiles } from '../../../src/host/node-files.ts'
import { createStore } from '../../../src/lun/journal/store.ts'
import { useTempFolder } from '../../support/temp-folder.ts'

// On a real file system, since a FIFO there keeps whoever opens it for ever, this process included.
const files = createNodeFiles()
let folder: string

useTempFolder(path => {
  folder = path
})

describe('a store', () => {
  test('reads what it wrote, and nothing that is not there', async () => {
    const store = createStore(files)
    const path = join(folder, 'notes', 'a.json')
    expect(await store.read(path)).toBeUndefined()
    await store.write(path, 'text')
    expect(await store.read(path)).toEqual({ text: 'text' })
    expect(Math.abs((await store.writtenMs(path)) - Date.now())).toBeLessThan(60_000)
    expect([await store.has(path), (await store.list(join(folder, 'notes'))).names]).toEqual([true, ['a.json']])
    await store.remove(path)
    expect([await store.read(path), await store.has(path)]).toEqual([undefined, false])
  })

  test('neither waits at a FIFO, nor follows a link, nor falls over a folder', async () => {
    const store = createStore(files)
    const at = (name: string): string => join(folder, name)
    await createExecaExecutor().exec({ file: 'mkfifo', args: [at('fifo')], decode: result => result })
    await mkdir(at('folder'))
    await mkdir(at('.draft-of.json.draft'))
    await writeFile(at('real'), 'text')
    await symlink(at('real'), at('link'))
    for (const name of ['fifo', 'folder', 'link']) {
      expect(await store.read(at(name))).toMatchObject({ path: at(name), reason: expect.stringContaining('no file') })
    }
    const refused = { code: 'JOURNAL_UNREADABLE', details: { reason: 'is no file but a folder' } }
    await expect(store.remove(at('folder'))).rejects.toMatchObject(refused)
    await expect(store.write(at('folder'), '')).rejects.toMatchObject(refused)
    await expect(store.write(at('draft-of.json'), '')).rejects.toMatchObject(refused)
    await expect(store.remove(at('draft-of.json'))).rejects.toMatchObject(refused)
    expect(await store.flaws(folder)).toEqual([{ path: at('.draft-of.json.draft'), reason: 'is no file but a folder' }])
  })

  test('believes nothing in a folder that others may write to', async () => {
    const store = createStore(files)
    const notes = join(folder, 'notes')
    await mkdir(notes, { mode: 0o700 })
    await writeFile(join(notes, 'a.json'), 'text')
    const open = {
      ...files,
      linkStat: async (path: string) => {
        const stat = await files.linkStat(path)
        return stat !== undefined && path === notes ? { ...stat, mode: 0o777 } : stat
      },
    }
    const flaw = { path: notes, reason: 'can be written by others (mode 777)', isUnsafe: true }
    const blind = createStore(open)
    expect(await blind.read(join(notes, 'a.json'))).toEqual(flaw)
    expect(await blind.flaws(notes)).toEqual([flaw])
    await expect(blind.list(notes)).rejects.toMatchObject({ code: 'PATH_UNSAFE', details: { path: notes } })
    await expect(blind.has(join(notes, 'a.json'))).rejects.toMatchObject({ code: 'PATH_UNSAFE' })
    expect(await store.read(join(notes, 'a.json'))).toEqual({ text: 'text' })
  })
})
