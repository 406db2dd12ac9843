import { chmod, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { createExecaExecutor } from '../../src/host/execa.ts'
import type { Files } from '../../src/host/files.ts'
import { createFlock } from '../../src/host/flock.ts'
import { createNodeFiles } from '../../src/host/node-files.ts'
import { findOwnFile, isOwnFolder, makeOwnFolder } from '../../src/host/own-path.ts'
import { useTempFolder } from '../support/temp-folder.ts'

// Whoever runs this, root or not: the files are his own, and what is somebody else's is shown so.
const executor = createExecaExecutor()
const files = createNodeFiles()
/** Not who runs this, whoever that is. */
const STRANGER = 4242
let folder: string

useTempFolder(path => {
  folder = path
})

/** The same files, of which one belongs to nobody. */
function foreign(path: string): Files {
  return {
    ...files,
    linkStat: async each => {
      const seen = await files.linkStat(each)
      return seen !== undefined && each === path ? { ...seen, uid: STRANGER } : seen
    },
  }
}

async function refusal(work: Promise<unknown>): Promise<unknown> {
  const error: unknown = await work.catch((e: unknown) => e)
  return isLunError(error, 'PATH_UNSAFE') ? error.details : error
}

async function fifo(path: string): Promise<void> {
  await executor.exec({ file: 'mkfifo', args: [path], decode: result => result })
}

describe('a folder of our own', () => {
  test('is made with its parents for nobody else, and taken as it is from then on', async () => {
    const path = join(folder, 'a', 'b')
    expect(await isOwnFolder(files, path)).toBe(false)
    await makeOwnFolder(files, path)
    await makeOwnFolder(files, path)
    expect(await isOwnFolder(files, path)).toBe(true)
    for (const made of [path, join(folder, 'a')]) expect((await stat(made)).mode & 0o777).toBe(0o700)
  })

  test.each([0o707, 0o770, 0o777, 0o1777])('is none with mode %o, itself or above it', async mode => {
    const path = join(folder, 'a')
    await mkdir(join(path, 'b'), { recursive: true })
    await chmod(path, mode)
    expect(await refusal(makeOwnFolder(files, path))).toMatchObject({ path, reason: expect.stringContaining('others') })
    expect(await isOwnFolder(files, path)).toBe(false)
    // In a sticky one nobody can take its place.
    await chmod(join(path, 'b'), 0o700)
    expect(await isOwnFolder(files, join(path, 'b'))).toBe(mode === 0o1777)
  })

  test('may be open to its group where that is said', async () => {
    await chmod(folder, 0o770)
    expect(await isOwnFolder(files, folder)).toBe(false)
    await makeOwnFolder(files, folder, { foreign: 0o002 })
    await chmod(folder, 0o772)
    expect(await isOwnFolder(files, folder, { foreign: 0o002 })).toBe(false)
  })

  test('is none that is somebody else’s, itself or above it', async () => {
    const path = join(folder, 'a')
    for (const theirs of [folder, path]) {
      await mkdir(path, { recursive: true, mode: 0o700 })
      const details = { path: theirs, reason: `belongs to user ${STRANGER}` }
      expect(await refusal(makeOwnFolder(foreign(theirs), path))).toEqual(details)
      expect(await isOwnFolder(foreign(theirs), path)).toBe(false)
    }
    await rm(path, { recursive: true })
    expect(await refusal(makeOwnFolder(foreign(folder), path))).toMatchObject({ path: folder })
    expect(await readdir(folder)).toEqual([])
  })

  test('is none that is a link, a file or a FIFO, and nothing is made behind it', async () => {
    const behind = join(folder, 'behind')
    await mkdir(behind, { mode: 0o700 })
    await symlink(behind, join(folder, 'link'))
    await writeFile(join(folder, 'file'), '')
    await fifo(join(folder, 'fifo'))
    for (const name of ['link', 'file', 'fifo']) {
      const path = join(folder, name)
      expect(await refusal(makeOwnFolder(files, path))).toMatchObject({
        path,
        reason: expect.stringContaining('no folder'),
      })
    }
    expect(await readdir(behind)).toEqual([])
  })

  test('may lie behind a link that is ours, but not in a place where anybody could have put it', async () => {
    await mkdir(join(folder, 'real'), { mode: 0o700 })
    await symlink('real', join(folder, 'link'))
    await makeOwnFolder(files, join(folder, 'link', 'a'))
    expect(await isOwnFolder(files, join(folder, 'real', 'a'))).toBe(true)
    await chmod(folder, 0o1777)
    expect(await isOwnFolder(files, join(folder, 'link', 'a'))).toBe(false)
    expect(await refusal(makeOwnFolder(foreign(join(folder, 'link')), join(folder, 'link', 'a')))).toMatchObject({
      path: join(folder, 'link'),
    })
  })
})

describe('a lock whose place somebody has taken', () => {
  const take = async (name: string, from: Files = files): Promise<unknown> =>
    await createFlock({ executor, files: from, directory: folder }).withLock(name, async () => 'in', {
      timeoutMs: 5000,
    })

  test('is refused, never followed, and nobody waits at it', async () => {
    await symlink(join(folder, 'elsewhere'), join(folder, 'link'))
    await fifo(join(folder, 'fifo'))
    await mkdir(join(folder, 'folder'))
    for (const name of ['link', 'fifo', 'folder']) {
      expect(await refusal(take(name))).toMatchObject({
        path: join(folder, name),
        reason: expect.stringContaining('no file'),
      })
    }
    await writeFile(join(folder, 'theirs'), '')
    const path = join(folder, 'theirs')
    expect(await refusal(take('theirs', foreign(path)))).toEqual({ path, reason: `belongs to user ${STRANGER}` })
    expect(await findOwnFile(files, path)).toMatchObject({ kind: 'file' })
    expect(await take('theirs')).toBe('in')
    expect(await readdir(folder)).toEqual(['fifo', 'folder', 'link', 'theirs'])
  })

  test('so are those of Xen’s scripts', async () => {
    const path = join(folder, 'block')
    await symlink(join(folder, 'elsewhere'), path)
    expect(await refusal(take(path))).toMatchObject({ path })
    await rm(path)
    await fifo(path)
    expect(await refusal(take(path))).toMatchObject({ path })
    expect(await readdir(folder)).toEqual(['block'])
  })

  test('in a folder of somebody else is refused before anything is made there', async () => {
    expect(await refusal(take('a', foreign(folder)))).toMatchObject({ path: folder })
    expect(await readdir(folder)).toEqual([])
  })
})

describe('the name of a lock', () => {
  test('is below an absolute path, whatever way that is written', async () => {
    expect(() => createFlock({ executor, files, directory: 'locks' })).toThrow('directory')
    await symlink(folder, join(folder, 'link'))
    const locks = createFlock({ executor, files, directory: `${folder}//link/` })
    expect(await refusal(locks.withLock('a', async () => 'in', { timeoutMs: 5000 }))).toMatchObject({
      path: join(folder, 'link'),
    })
  })

  const nested = async (outer: string, inner: string): Promise<unknown> => {
    const locks = createFlock({ executor, files, directory: folder })
    const task = async (): Promise<unknown> => await locks.withLock(inner, async () => 'both', { timeoutMs: 200 })
    return await locks.withLock(outer, task, { timeoutMs: 5000 })
  }

  test('may be as long as it likes, and is a lock of its own', async () => {
    const long = `target iqn.2001-05.com.example:${':'.repeat(199)}`
    expect(await nested(long, `${long}a`)).toBe('both')
    await expect(nested(long, long)).rejects.toMatchObject({ code: 'LOCK_TIMEOUT', details: { lock: long } })
    expect((await readdir(folder)).every(name => name.length <= 255)).toBe(true)
  })
})
