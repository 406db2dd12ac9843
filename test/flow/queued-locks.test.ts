import { beforeEach, expect, test } from 'vitest'
import { queued } from '../../src/flow/queued-locks.ts'
import { type Locks, lockTimeout } from '../../src/host/locks.ts'
import { createFakeClock } from '../support/fake-clock.ts'

let clock: ReturnType<typeof createFakeClock>
let inner: string[]
let locks: Locks

/** A task that ends when it is told to. */
interface Task {
  readonly run: () => Promise<string>
  readonly end: () => void
}

function taskOf(name: string): Task {
  let end = (): void => {}
  const ended = new Promise<void>(resolve => {
    end = resolve
  })
  const run = async (): Promise<string> => {
    inner.push(`${name} begins`)
    await ended
    inner.push(`${name} ends`)
    return name
  }
  return { run, end }
}

const turn = async (): Promise<void> => await new Promise(resolve => setTimeout(resolve, 0))
const options = (lane?: string) => ({ timeoutMs: 60_000, ...(lane !== undefined && { lane: async () => lane }) })

beforeEach(() => {
  clock = createFakeClock()
  inner = []
  locks = queued(
    {
      withLock: async (_name, task) => {
        inner.push('taken')
        const result = await task()
        inner.push('free')
        return result
      },
    },
    clock
  )
})

test('takes a lock once for tasks that come together, runs them in turn, and frees it before the last one is told', async () => {
  const [a, b] = [taskOf('a'), taskOf('b')]
  const first = locks.withLock('x', a.run, options())
  const second = locks.withLock('x', b.run, options()).then(() => inner.push('told'))
  await turn()
  a.end()
  expect(await first).toBe('a')
  b.end()
  await second
  expect(inner).toEqual(['taken', 'a begins', 'a ends', 'b begins', 'b ends', 'free', 'told'])
})

test('runs tasks of different lanes side by side, those of one lane in turn', async () => {
  const [a, b, c] = [taskOf('a'), taskOf('b'), taskOf('c')]
  const all = [
    locks.withLock('x', a.run, options('1')),
    locks.withLock('x', b.run, options('2')),
    locks.withLock('x', c.run, options('1')),
  ]
  await turn()
  expect(inner).toEqual(['taken', 'a begins', 'b begins'])
  a.end()
  await turn()
  expect(inner.slice(3)).toEqual(['a ends', 'c begins'])
  b.end()
  c.end()
  await Promise.all(all)
  expect(inner.at(-1)).toBe('free')
})

test('a task without a lane has the lock to itself, and nobody overtakes it', async () => {
  const [a, b, c] = [taskOf('a'), taskOf('b'), taskOf('c')]
  const all = [
    locks.withLock('x', a.run, options('1')),
    locks.withLock('x', b.run, options()),
    locks.withLock('x', c.run, options('2')),
  ]
  await turn()
  expect(inner).toEqual(['taken', 'a begins'])
  a.end()
  await turn()
  expect(inner.slice(2)).toEqual(['a ends', 'b begins'])
  b.end()
  await turn()
  expect(inner.slice(4)).toEqual(['b ends', 'c begins'])
  c.end()
  await Promise.all(all)
})

test('asks for the lane when the lock is taken', async () => {
  const lane = async (): Promise<string> => {
    inner.push('asked')
    return '1'
  }
  await locks.withLock('x', async () => {}, { timeoutMs: 1000, lane })
  expect(inner).toEqual(['taken', 'asked', 'free'])
})

test('gives the lock back now and then, though more tasks want it', async () => {
  const [a, b] = [taskOf('a'), taskOf('b')]
  const first = locks.withLock('x', a.run, options('1'))
  await turn()
  await clock.sleep(3000)
  const second = locks.withLock('x', b.run, options('2'))
  await turn()
  expect(inner).toEqual(['taken', 'a begins'])
  a.end()
  b.end()
  await Promise.all([first, second])
  expect(inner).toEqual(['taken', 'a begins', 'a ends', 'free', 'taken', 'b begins', 'b ends', 'free'])
})

test('a lock that is not to be had fails who wanted it, and is asked for again by the next', async () => {
  let tries = 0
  const refusing = queued(
    {
      withLock: async (name, task, { timeoutMs }) => {
        if (tries++ === 0) throw lockTimeout(name, timeoutMs)
        return await task()
      },
    },
    clock
  )
  const first = refusing.withLock('x', async () => 'a', options())
  const second = refusing.withLock('x', async () => 'b', options())
  await expect(first).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
  expect(await second).toBe('b')
})

test("the error of a task, or of its lane, is its caller's alone", async () => {
  const fail = async (): Promise<never> => {
    throw new Error('no')
  }
  const all = [
    locks.withLock('x', fail, options('1')),
    locks.withLock('x', async () => 'b', { timeoutMs: 1000, lane: fail }),
    locks.withLock('x', async () => 'c', options()),
  ]
  const outcomes = await Promise.allSettled(all)
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
  expect(inner).toEqual(['taken', 'free'])
})

test('does not begin a task whose time has passed while others had the lock', async () => {
  const a = taskOf('a')
  const first = locks.withLock('x', a.run, options('1'))
  const second = locks.withLock('x', async () => inner.push('b begins'), { timeoutMs: 1000 })
  await turn()
  await clock.sleep(1500)
  a.end()
  await first
  await expect(second).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
  expect(inner).not.toContain('b begins')
})
