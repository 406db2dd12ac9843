import { getEventListeners } from 'node:events'
import { link, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import type { Command, CommandResult } from '../../src/host/command.ts'
import { createExecaExecutor } from '../../src/host/execa.ts'
import { createFlock } from '../../src/host/flock.ts'
import { createNodeFiles } from '../../src/host/node-files.ts'
import { useTempFolder } from '../support/temp-folder.ts'

const executor = createExecaExecutor()
const files = createNodeFiles()
let folder: string

useTempFolder(path => {
  folder = path
})

function sh(script: string, more: Partial<Command<CommandResult>> = {}): Command<CommandResult> {
  return { file: 'sh', args: ['-c', script], timeoutMs: 10_000, decode: result => result, ...more }
}

describe('the executor', () => {
  test('reports exit code and both streams as they are', async () => {
    expect(await executor.exec(sh('echo out; echo err >&2; exit 21'))).toEqual({
      exitCode: 21,
      stdout: 'out\n',
      stderr: 'err\n',
    })
  })

  test('runs tools in the C locale, whatever ours is', async () => {
    expect((await executor.exec(sh('echo $LC_ALL'))).stdout).toBe('C\n')
  })

  test('names a tool that is not installed', async () => {
    const missing = executor.exec(sh('', { file: 'no-such-iscsiadm' }))
    await expect(missing).rejects.toMatchObject({ code: 'COMMAND_NOT_FOUND', details: { file: 'no-such-iscsiadm' } })
  })

  test('ends a process that takes too long', async () => {
    const slow = executor.exec(sh('exec sleep 20', { timeoutMs: 50, killGraceMs: 50 }))
    await expect(slow).rejects.toMatchObject({ code: 'COMMAND_TIMEOUT' })
  })

  test('is not held by a grandchild that keeps the pipes open', async () => {
    const slow = executor.exec(sh('sleep 20; true', { timeoutMs: 50, killGraceMs: 50 }))
    await expect(slow).rejects.toMatchObject({ code: 'COMMAND_TIMEOUT' })
  })

  test('says so when a process was killed', async () => {
    await expect(executor.exec(sh('kill -9 $$'))).rejects.toMatchObject({
      code: 'COMMAND_KILLED',
      details: { signal: 'SIGKILL' },
    })
  })

  test('starts nothing once the signal has fired', async () => {
    const mark = join(folder, 'mark')
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(executor.exec(sh(`touch ${mark}`), { signal })).rejects.toThrow('stop')
    expect(await readdir(folder)).toEqual([])
  })

  test('ends the process when the signal fires, and rejects with its reason', async () => {
    const stop = new AbortController()
    const running = executor.exec(sh('exec sleep 20'), { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })

  test('runs many with one signal by one listener, and leaves none', async () => {
    const { signal } = new AbortController()
    const running = Array.from({ length: 12 }, async () => await executor.exec(sh('read _ || true'), { signal }))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await Promise.all(running)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test.each([2 ** 31, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])('gives a process %s ms', async timeoutMs => {
    expect((await executor.exec(sh('sleep 0.1; echo out', { timeoutMs }))).stdout).toBe('out\n')
  })

  test("lets nothing of execa's own error out", async () => {
    const error: unknown = await executor.exec(sh('exec sleep 20', { timeoutMs: 30 })).catch((e: unknown) => e)
    expect(inspect(error, { depth: 9 })).not.toContain('ExecaError')
  })
})

describe('files', () => {
  test('an attribute that has nothing to tell is absent', async () => {
    // EINVAL, as of a map that is being removed: the loopback interface has no speed.
    expect(await files.read('/sys/class/net/lo/mtu')).toMatch(/^\d+\n$/)
    expect(await files.read('/sys/class/net/lo/speed')).toBeUndefined()
  })

  test('what a process has open is told by its descriptor, whatever became of its name', async () => {
    const path = join(folder, 'open')
    const pid = String(process.pid)
    await files.withDescriptor(path, async descriptor => {
      const named = await files.stat(path)
      expect(named?.kind).toBe('file')
      expect(await files.statOpen(pid, String(descriptor))).toEqual(named)
      await files.remove(path)
      expect((await files.statOpen(pid, String(descriptor)))?.inode).toBe(named?.inode)
    })
    expect(await files.statOpen(pid, '99999')).toBeUndefined()
  })

  test('what does not exist is an answer', async () => {
    const absent = join(folder, 'absent')
    expect(await files.read(absent)).toBeUndefined()
    expect(await files.list(absent)).toEqual([])
    expect(await files.stat(absent)).toBeUndefined()
    expect(await files.realpath(absent)).toBeUndefined()
    expect(await files.write(absent, 'x')).toBe(false)
    expect(await files.remove(absent)).toBe(false)
    expect(await files.removeDirectory(absent)).toBe(false)
    expect(await files.sync(absent)).toBe(false)
    expect(await readdir(folder)).toEqual([])
  })

  test('replace leaves the whole new text with its mode, and nothing else', async () => {
    const path = join(folder, 'a')
    await writeFile(path, 'old and longer')
    await files.replace(path, 'new', 0o600)
    expect(await readFile(path, 'utf8')).toBe('new')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['a'])
  })

  test('replace leaves the old text when it fails', async () => {
    await expect(files.replace(join(folder, 'no', 'a'), 'new', 0o600)).rejects.toThrow('ENOENT')
    expect(await readdir(folder)).toEqual([])
  })

  test('link refuses a name that is taken', async () => {
    await writeFile(join(folder, 'a'), '')
    expect(await files.link(join(folder, 'a'), join(folder, 'b'))).toBe(true)
    expect(await files.link(join(folder, 'a'), join(folder, 'b'))).toBe(false)
  })

  test('removeDirectory keeps what is not empty', async () => {
    await writeFile(join(folder, 'a'), '')
    expect(await files.removeDirectory(folder)).toBe(false)
  })

  test('a file that took the place of another one has another inode, a hard link the same', async () => {
    const path = join(folder, 'file')
    const inodeOf = async (name: string): Promise<number | undefined> => (await files.stat(name))?.inode
    await files.replace(path, 'one', 0o600)
    const first = await inodeOf(path)
    await files.link(path, join(folder, 'linked'))
    expect(await inodeOf(join(folder, 'linked'))).toBe(first)
    await files.replace(path, 'two', 0o600)
    expect(await inodeOf(path)).not.toBe(first)
    expect(first).toBe((await stat(join(folder, 'linked'))).ino)
  })

  test('realpath follows links and stat tells kinds', async () => {
    await symlink('/dev/null', join(folder, 'null'))
    expect(await files.realpath(join(folder, 'null'))).toBe('/dev/null')
    expect(await files.stat(join(folder, 'null'))).toMatchObject({ kind: 'other', device: { major: 1, minor: 3 } })
    expect((await files.stat(folder))?.kind).toBe('directory')
  })

  test('readLink and linkStat tell of the link itself, wherever it leads', async () => {
    await symlink('/nowhere/at/all', join(folder, 'link'))
    expect(await files.readLink(join(folder, 'link'))).toBe('/nowhere/at/all')
    expect(await files.linkStat(join(folder, 'link'))).toMatchObject({ kind: 'link', uid: process.getuid?.() })
    expect([await files.readLink(folder), await files.readLink(join(folder, 'no'))]).toEqual([undefined, undefined])
    expect(await files.linkStat(join(folder, 'no'))).toBeUndefined()
  })

  test('withDescriptor makes no file through a link', async () => {
    await symlink(join(folder, 'elsewhere'), join(folder, 'lock'))
    await expect(files.withDescriptor(join(folder, 'lock'), async () => 'opened')).rejects.toThrow('ELOOP')
    expect(await readdir(folder)).toEqual(['lock'])
  })

  test('readAt past the kernel’s copy answers the same bytes', async () => {
    const path = join(folder, 'a')
    await writeFile(path, Buffer.concat([Buffer.alloc(4096, 'a'), Buffer.alloc(4096, 'b'), Buffer.from('end')]))
    const text = async (offset: number): Promise<string> =>
      Buffer.from(await files.readAt(path, offset, 4096, { isDirect: true })).toString()
    expect([await text(4096), await text(8192)]).toEqual(['b'.repeat(4096), 'end'])
  })

  test('isClaimed is not for what is not there, and does not wait at a FIFO', async () => {
    expect(await files.isClaimed(join(folder, 'no'))).toBeUndefined()
    await executor.exec({ file: 'mkfifo', args: [join(folder, 'fifo')], decode: result => result })
    expect(await files.isClaimed(join(folder, 'fifo'))).toBe(false)
  })
})

describe('flock', () => {
  const lock = (): ReturnType<typeof createFlock> => createFlock({ executor, files, directory: folder })

  test('keeps others out until the task has ended, then lets them in', async () => {
    const order: string[] = []
    let letGo = (): void => {}
    let first: Promise<void> = Promise.resolve()
    await new Promise<void>(isIn => {
      const task = async (): Promise<void> =>
        await new Promise<void>(resolve => {
          letGo = resolve
          isIn()
        })
      first = lock().withLock('a', task, { timeoutMs: 5000 })
    })
    const blocked = lock().withLock('a', async () => order.push('too early'), { timeoutMs: 200 })
    await expect(blocked).rejects.toMatchObject({ code: 'LOCK_TIMEOUT', details: { lock: 'a' } })
    letGo()
    await first
    await lock().withLock('a', async () => order.push('second'), { timeoutMs: 5000 })
    expect(order).toEqual(['second'])
  })

  test('is released by a task that fails', async () => {
    const failing = lock().withLock('a', async () => await Promise.reject(new Error('no')), { timeoutMs: 5000 })
    await expect(failing).rejects.toThrow('no')
    expect(await lock().withLock('a', async () => 'free', { timeoutMs: 5000 })).toBe('free')
  })

  test('different names do not meet', async () => {
    const inner = async (): Promise<string> => await lock().withLock('b', async () => 'both', { timeoutMs: 5000 })
    expect(await lock().withLock('a', inner, { timeoutMs: 5000 })).toBe('both')
  })

  describe("of Xen's scripts, by a path", () => {
    const taken = (): string => join(folder, 'xen', 'block')
    const limits = { timeoutMs: 5000 }
    const inodeOf = async (path: string): Promise<number | undefined> => (await files.stat(path))?.inode
    const awaitWaiter = async (inode: number | undefined): Promise<void> =>
      await vi.waitFor(
        async () => expect(await readFile('/proc/locks', 'utf8')).toMatch(new RegExp(`-> FLOCK .*:${inode} `)),
        {
          timeout: 5000,
          interval: 5,
        }
      )

    test('the file is there while the lock is held, and removed on release', async () => {
      const inside = await lock().withLock(taken(), async () => await readdir(join(folder, 'xen')), limits)
      expect([inside, await readdir(join(folder, 'xen'))]).toEqual([['block'], []])
      const failing = lock().withLock(taken(), async () => await Promise.reject(new Error('no')), limits)
      await expect(failing).rejects.toThrow('no')
      expect(await readdir(join(folder, 'xen'))).toEqual([])
    })

    test('one waits for the other, in order, and takes a new file', async () => {
      const order: string[] = []
      let inside = 0
      let second: Promise<void> = Promise.resolve()
      const enter = async (name: string): Promise<void> => {
        expect(++inside).toBe(1)
        order.push(name, String(await inodeOf(taken())))
      }
      await lock().withLock(
        taken(),
        async () => {
          await enter('first')
          second = lock().withLock(
            taken(),
            async () => {
              await enter('second')
              inside--
            },
            limits
          )
          await awaitWaiter(await inodeOf(taken()))
          // Keeps the number of the inode from being given to the next file.
          await link(taken(), join(folder, 'kept'))
          inside--
        },
        limits
      )
      await second
      expect([order[0], order[2]]).toEqual(['first', 'second'])
      expect(order[1]).toBe(String(await inodeOf(join(folder, 'kept'))))
      expect(order[3]).toMatch(/^\d+$/)
      expect(order[3]).not.toBe(order[1])
      expect(await readdir(join(folder, 'xen'))).toEqual([])
    })

    test('a crowd never meets inside', async () => {
      let inside = 0
      let most = 0
      const enter = async (): Promise<void> => {
        most = Math.max(most, ++inside)
        await files.stat(taken())
        inside--
      }
      const comeTwice = async (): Promise<void> => {
        await lock().withLock(taken(), enter, limits)
        await lock().withLock(taken(), enter, limits)
      }
      await Promise.all(Array.from({ length: 4 }, comeTwice))
      expect([most, await readdir(join(folder, 'xen'))]).toEqual([1, []])
    })

    test('one that stays taken is refused, and its file stays', async () => {
      await lock().withLock(
        taken(),
        async () => {
          const refused = lock().withLock(taken(), async () => expect.fail('got in'), { timeoutMs: 100 })
          await expect(refused).rejects.toMatchObject({ code: 'LOCK_TIMEOUT', details: { lock: taken() } })
          expect(await readdir(join(folder, 'xen'))).toEqual(['block'])
        },
        limits
      )
    })
  })
})
