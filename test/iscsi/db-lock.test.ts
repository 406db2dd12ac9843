import { describe, expect, it } from 'vitest'
import { releaseAbandoned } from '../../src/flow/link-lock.ts'
import { withDbLock } from '../../src/iscsi/db-lock.ts'
import { failureOf, testHost } from './fixtures.ts'

const WRITE = '/run/lock/iscsi/lock.write'
/** Started at 123456; its name is meant to confuse. */
const PROCESS = { '/proc/4711/stat': `4711 (a) b) S 1${' 0'.repeat(17)} 123456 0 0\n` }

describe('the lock of open-iscsi', () => {
  it('is a hard link to a file that names its holder, there while the task runs and gone after it', async () => {
    const host = testHost(undefined, PROCESS)
    host.files.links.set('/proc/self', '/proc/4711')
    const answer = await withDbLock(host, async () => {
      expect(host.files.contents.get(WRITE)).toBe('xen-lun 4711 123456 0 0\n')
      return 7
    })
    expect(answer).toBe(7)
    expect([...host.files.contents.keys()]).toEqual(Object.keys(PROCESS))
  })

  it('is released when the task fails', async () => {
    const host = testHost()
    await expect(withDbLock(host, async () => await Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(host.files.contents.has(WRITE)).toBe(false)
  })

  it('lets one in at a time', async () => {
    const host = testHost()
    const seen: string[] = []
    const task = async (name: string): Promise<void> =>
      await withDbLock(host, async () => {
        seen.push(`${name} in`)
        await host.clock.sleep(50)
        seen.push(`${name} out`)
      })
    await Promise.all([task('a'), task('b'), task('c')])
    expect(seen).toHaveLength(6)
    for (let n = 0; n < 6; n += 2) expect(seen[n + 1]).toBe(seen[n]?.replace('in', 'out'))
  })

  it('is waited for, looking every 10 ms, as iscsiadm does', async () => {
    const host = testHost(undefined, { [WRITE]: '' })
    const sleeps: number[] = []
    const clock = {
      ...host.clock,
      sleep: async (ms: number) => {
        sleeps.push(ms)
        await host.clock.sleep(ms)
        if (sleeps.length === 5) host.files.contents.delete(WRITE)
      },
    }
    await withDbLock({ ...host, clock }, async () => {})
    expect(sleeps).toEqual([10, 10, 10, 10, 10])
  })

  it('that nobody releases is reported after 30 s, with its age and what to do, and left alone', async () => {
    const host = testHost(undefined, { [WRITE]: '' })
    const error = await failureOf(
      withDbLock(host, async () => expect.fail('got in')),
      'LOCK_TIMEOUT'
    )
    expect(error.details).toEqual({ lock: WRITE, timeoutMs: 30_000 })
    expect(error.message).toContain('one holder has had it for at least 30000 ms')
    expect(error.message).toContain(`remove ${WRITE}`)
    expect(host.clock.now()).toBe(30_000)
    expect(host.files.contents.has(WRITE)).toBe(true)
  })

  it.each([
    ['a process that is gone', 'xen-lun 4712 1 0 0\n'],
    ['an earlier process of the same number', 'xen-lun 4711 77 0 0\n'],
  ])('of %s is taken away, under a lock of our own', async (_, holder) => {
    const host = testHost(undefined, { ...PROCESS, [WRITE]: holder })
    expect(await withDbLock(host, async () => 7)).toBe(7)
    expect(host.locks.held).toEqual(['abandoned locks'])
    expect(host.clock.now()).toBeLessThan(100)
    host.files.contents.set(WRITE, holder)
    await releaseAbandoned(host, WRITE)
    expect(host.files.contents.has(WRITE)).toBe(false)
  })

  it('that somebody else took meanwhile is left to them', async () => {
    const host = testHost(undefined, { ...PROCESS, [WRITE]: 'xen-lun 4712 1 0 0\n' })
    const locks: typeof host.locks = {
      ...host.locks,
      withLock: async (name, task, options) => {
        host.files.contents.set(WRITE, 'xen-lun 4711 123456 0 0\n')
        return await host.locks.withLock(name, task, options)
      },
    }
    await releaseAbandoned({ ...host, locks }, WRITE)
    expect(host.files.contents.get(WRITE)).toBe('xen-lun 4711 123456 0 0\n')
  })

  it.each([
    ['a process that lives', 'xen-lun 4711 123456 0 0\n'],
    ['a process in another container', 'xen-lun 4712 1 99\n'],
    ['iscsiadm', ''],
  ])('of %s is left alone', async (_, holder) => {
    const host = testHost(undefined, { ...PROCESS, [WRITE]: holder })
    await releaseAbandoned(host, WRITE)
    expect(host.files.contents.get(WRITE)).toBe(holder)
    expect(host.locks.held).toEqual([])
  })

  it('that changes hands is not called stale', async () => {
    const host = testHost(undefined, { [WRITE]: '' })
    const files = {
      ...host.files,
      stat: async () => ({
        kind: 'directory' as const,
        sizeBytes: 0,
        mode: 0o700,
        uid: 0,
        device: { major: 0, minor: 0 },
        mtimeMs: Math.floor(host.clock.now() / 900), // a new holder every 900 ms
        inode: 1,
      }),
    }
    const error = await failureOf(
      withDbLock({ ...host, files }, async () => {}, { timeoutMs: 2000 }),
      'LOCK_TIMEOUT'
    )
    // It changed 200 ms before the end; what took long may be seen a little late, see `until`.
    const [, heldMs] = /for at least (\d+) ms/.exec(error.message) ?? []
    expect(Number(heldMs)).toBeLessThanOrEqual(200)
    expect(Number(heldMs)).toBeGreaterThan(200 - 0.02 * 2000 - 10)
  })

  it('is not taken after an abort, and not waited for', async () => {
    const host = testHost(undefined, { [WRITE]: '' })
    const reason = new Error('enough')
    const never = async (): Promise<never> => expect.fail('got in')
    await expect(withDbLock(testHost(), never, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const waiting = withDbLock(host, never, { signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(host.files.contents.has(WRITE)).toBe(true)
  })
})
