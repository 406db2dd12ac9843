import { expect, test } from 'vitest'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { holderOf, type LinkLockOptions, releaseAbandoned, withLinkLock } from '../../src/flow/link-lock.ts'
import { until } from '../../src/flow/until.ts'
import { isAlive, thisProcess } from '../../src/host/process-id.ts'

type User = Pick<SimulatedDom0, 'host'>

const folder = '/run/lock/test'
const lock = `${folder}/a`
const refusal = new Error('somebody has it')
const options: LinkLockOptions = { folder, name: 'a', timeoutMs: 5000, refused: async () => refusal }

/** Holds the lock until it is told to let go; resolves once it has it. */
async function hold({ host }: User): Promise<() => Promise<void>> {
  return await new Promise(resolve => {
    const held = withLinkLock(host, options, async () => {
      await new Promise<void>(letGo => {
        resolve(async () => {
          letGo()
          await held
        })
      })
    })
  })
}

/** Everybody takes the lock for a while, three times; answers how many had it at once, at most. */
async function crowd(users: readonly User[]): Promise<{ readonly most: number; readonly turns: number }> {
  let inside = 0
  let most = 0
  let turns = 0
  const enter = async ({ host }: User): Promise<void> => {
    for (let n = 0; n < 3; n++) {
      await withLinkLock(host, { ...options, timeoutMs: 60_000 }, async () => {
        most = Math.max(most, ++inside)
        turns++
        await host.clock.sleep(70)
        inside--
      })
    }
  }
  await Promise.all(users.map(enter))
  return { most, turns }
}

test('lets one in at a time, of this process and of others, and leaves nothing', async () => {
  const dom0 = createSimulatedDom0()
  const users = [dom0, dom0, dom0.startUser(), dom0.startUser()]
  expect(await crowd(users)).toEqual({ most: 1, turns: 12 })
  expect(await dom0.host.files.list(folder)).toEqual([])
})

test('says whose it is while it is taken', async () => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  const letGo = await hold(dom0)
  expect(await files.list(folder)).toEqual(['a'])
  expect(await holderOf(files, lock)).toEqual(await thisProcess(files))
  await letGo()
  expect(await holderOf(files, lock)).toBeUndefined()
})

test('is released by a task that fails', async () => {
  const dom0 = createSimulatedDom0()
  const failing = withLinkLock(dom0.host, options, async () => await Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  expect(await dom0.host.files.list(folder)).toEqual([])
})

test('that stays taken is refused at its time, and stays', async () => {
  const dom0 = createSimulatedDom0()
  const letGo = await hold(dom0.startUser())
  const startedMs = dom0.host.clock.now()
  let looks = 0
  const onWait = async (): Promise<void> => void looks++
  const task = async (): Promise<void> => expect.fail('got in')
  await expect(withLinkLock(dom0.host, { ...options, onWait }, task)).rejects.toBe(refusal)
  expect(dom0.host.clock.now() - startedMs).toBeGreaterThanOrEqual(options.timeoutMs)
  expect(dom0.host.clock.now() - startedMs).toBeLessThan(options.timeoutMs + 100)
  expect(looks).toBeGreaterThan(10)
  expect(await dom0.host.files.list(folder)).toEqual(['a'])
  await letGo()
  expect(await dom0.host.files.list(folder)).toEqual([])
})

test('is no longer waited for once the signal has fired, with its reason', async () => {
  const dom0 = createSimulatedDom0()
  await hold(dom0.startUser())
  const stop = new AbortController()
  const reason = new Error('stop')
  const waiting = withLinkLock(dom0.host, { ...options, signal: stop.signal }, async () => expect.fail('got in'))
  const isWaiting = async (): Promise<boolean> => (await dom0.host.files.list(folder)).length === 2
  await until(dom0.host.clock, isWaiting, { awaited: 'a waiter', timeoutMs: 1000 })
  stop.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  expect(await dom0.host.files.list(folder)).toEqual(['a'])
})

test('of a process that was killed is taken over, never by two at once', async () => {
  const dom0 = createSimulatedDom0()
  const dead = dom0.startUser()
  await hold(dead)
  dead.kill()
  const users = [dom0, dom0.startUser(), dom0.startUser()]
  const startedMs = dom0.host.clock.now()
  expect(await crowd(users)).toEqual({ most: 1, turns: 9 })
  expect(dom0.host.clock.now() - startedMs).toBeLessThan(2000)
  expect(await dom0.host.files.list(folder)).toEqual([])
})

test('of a dead process is broken once: the next holder keeps it', async () => {
  const dom0 = createSimulatedDom0()
  const dead = dom0.startUser()
  await hold(dead)
  dead.kill()
  const [slow, quick] = [dom0.startUser(), dom0.startUser()]
  // The slow one finds the lock abandoned; before it can break it, the quick one has broken and taken it.
  const locks = {
    withLock: async <T>(name: string, task: () => Promise<T>, limits: { readonly timeoutMs: number }): Promise<T> => {
      await hold(quick)
      return await slow.host.locks.withLock(name, task, limits)
    },
  }
  expect(await releaseAbandoned({ ...slow.host, locks }, lock)).toBe(false)
  expect(await holderOf(dom0.host.files, lock)).toMatchObject({ pid: String(quick.pid) })
})

test('of a process whose number another one has by now counts as abandoned', async () => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  const { pid, namespace } = await thisProcess(files)
  await files.makeDirectory(folder, 0o700)
  await files.replace(lock, `xen-lun ${pid} 1 ${namespace}\n`, 0o600)
  expect(await withLinkLock(dom0.host, options, async () => 'in')).toBe('in')
})

test.each([
  ['a process of another pid namespace', 'xen-lun 77 88 99\n'],
  ['somebody who is not us', ''],
  ['somebody who is not us, in words', 'iscsiadm 77\n'],
])('of %s is left alone', async (_, text) => {
  const dom0 = createSimulatedDom0()
  const { files } = dom0.host
  await files.makeDirectory(folder, 0o700)
  await files.replace(lock, text, 0o600)
  expect(await releaseAbandoned(dom0.host, lock)).toBe(false)
  await expect(withLinkLock(dom0.host, options, async () => {})).rejects.toBe(refusal)
  expect(await files.read(lock)).toBe(text)
})

test('of a live process is left alone', async () => {
  const dom0 = createSimulatedDom0()
  const other = dom0.startUser()
  await hold(other)
  expect(await releaseAbandoned(dom0.host, lock)).toBe(false)
  const holder = await holderOf(dom0.host.files, lock)
  expect(holder?.pid).toBe(String(other.pid))
  expect(holder !== undefined && (await isAlive(dom0.host.files, holder))).toBe(true)
})
