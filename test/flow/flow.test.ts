import { describe, expect, test } from 'vitest'
import { hasCode, LunError } from '../../src/core/error.ts'
import { collectFailures } from '../../src/flow/collect.ts'
import { withDeadline } from '../../src/flow/deadline.ts'
import { queued } from '../../src/flow/queued-locks.ts'
import { retry } from '../../src/flow/retry.ts'
import { until } from '../../src/flow/until.ts'
import { createNodeClock } from '../../src/host/node-clock.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const busy = (): LunError => new LunError('MAP_BUSY', 'busy', { map: 'a' })
const RETRY = { isPassing: hasCode('MAP_BUSY'), withinMs: 1000, firstPauseMs: 100 } as const

describe('until', () => {
  test('looks at once and answers what it saw', async () => {
    const clock = createFakeClock()
    expect(await until(clock, async () => 'seen', { awaited: 'x', timeoutMs: 0 })).toBe('seen')
    expect(clock.now()).toBe(0)
  })

  test('looks once more at the deadline, then says what it waited for', async () => {
    const clock = createFakeClock()
    let looks = 0
    const waiting = until(clock, async () => ++looks > 99, { awaited: 'the moon', timeoutMs: 100, everyMs: 30 })
    await expect(waiting).rejects.toMatchObject({ code: 'TIMEOUT', details: { awaited: 'the moon', timeoutMs: 100 } })
    expect([looks, clock.now()]).toEqual([5, 100])
  })

  test('looks less often where looking is slow', async () => {
    const clock = createFakeClock()
    let looks = 0
    const slowLook = async (): Promise<boolean> => {
      looks++
      await clock.sleep(100)
      return false
    }
    await expect(until(clock, slowLook, { awaited: 'x', timeoutMs: 2000, everyMs: 20 })).rejects.toThrow('timed out')
    expect(looks).toBe(3)
  })

  test('looks at least as often as told where a look waits for others itself', async () => {
    const clock = createFakeClock()
    let looks = 0
    const slowLook = async (): Promise<boolean> => {
      await clock.sleep(3000)
      return ++looks === 4
    }
    await until(clock, slowLook, { awaited: 'x', timeoutMs: 100_000, longestMs: 500 })
    expect(clock.now()).toBe(4 * 3000 + 3 * 500)
  })

  test('looks less often in a busy process, whose pauses last longer than they were to', async () => {
    const clock = createFakeClock()
    const busy = { now: () => clock.now(), sleep: async (ms: number) => await clock.sleep(ms + 100) }
    let looks = 0
    const look = async (): Promise<boolean> => ++looks > 99
    await expect(until(busy, look, { awaited: 'x', timeoutMs: 2000, everyMs: 20 })).rejects.toThrow('timed out')
    // At 0, after 20 + 100, after 200 + 100 six times, and at the end.
    expect(looks).toBe(9)
  })

  test.each([5000, 17_000, 60_000])('looks less often the longer it waits, and is little late: %i ms', async ms => {
    const clock = createFakeClock()
    let looks = 0
    const look = async (): Promise<boolean> => {
      looks++
      return clock.now() >= ms
    }
    await until(clock, look, { awaited: 'x', timeoutMs: 100_000, everyMs: 10 })
    expect(looks).toBeLessThan(300)
    expect(clock.now()).toBeLessThan(1.03 * ms)
  })

  test('adds what it waited for to the deadline of a whole operation', async () => {
    const clock = createFakeClock()
    const deadline = { timeoutMs: 100, awaited: () => 'the voyage' }
    const waiting = withDeadline(clock, deadline, async signal => {
      await until(clock, async () => false, { awaited: 'the moon', timeoutMs: 1000, signal })
    })
    await expect(waiting).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'timed out after 100 ms waiting for the voyage: the moon',
      details: { awaited: 'the voyage: the moon', timeoutMs: 100 },
    })
  })

  test('rejects with the reason of the signal', async () => {
    const stop = new AbortController()
    const waiting = until(createNodeClock(), async () => false, {
      awaited: 'x',
      timeoutMs: 60_000,
      signal: stop.signal,
    })
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })
})

describe('retry', () => {
  test('doubles its pauses and starts no try after its time', async () => {
    const clock = createFakeClock()
    const tries: number[] = []
    const task = async (): Promise<void> => {
      tries.push(clock.now())
      throw busy()
    }
    await expect(retry(clock, task, RETRY)).rejects.toMatchObject({ code: 'MAP_BUSY' })
    expect(tries).toEqual([0, 100, 300, 700])
  })

  test('does not repeat what failed for another reason', async () => {
    let tries = 0
    const task = async (): Promise<void> => {
      tries++
      throw new LunError('LOCK_TIMEOUT', 'x', { lock: 'a', timeoutMs: 1 })
    }
    await expect(retry(createFakeClock(), task, RETRY)).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
    expect(tries).toBe(1)
  })

  test('rejects with the reason of the signal, whatever that is', async () => {
    const stop = new AbortController()
    const task = async (): Promise<void> => {
      stop.abort('enough')
      throw busy()
    }
    const result = retry(createFakeClock(), task, { ...RETRY, signal: stop.signal }).catch((e: unknown) => e)
    expect(await result).toBe('enough')
  })

  test('keeps the answer of a task during which the signal fired', async () => {
    const stop = new AbortController()
    const task = async (): Promise<string> => {
      stop.abort()
      return 'done'
    }
    expect(await retry(createFakeClock(), task, { ...RETRY, signal: stop.signal })).toBe('done')
  })
})

describe('withDeadline', () => {
  test('fires the signal at the deadline, says what was awaited, and waits for the task to end', async () => {
    let ended = false
    const running = withDeadline(createNodeClock(), { timeoutMs: 20, awaited: () => 'Godot' }, async signal => {
      await new Promise(resolve => signal.addEventListener('abort', resolve))
      await createNodeClock().sleep(10)
      ended = true
      signal.throwIfAborted()
    })
    await expect(running).rejects.toMatchObject({ code: 'TIMEOUT', details: { awaited: 'Godot' } })
    expect(ended).toBe(true)
  })

  test("passes the caller's reason on", async () => {
    const stop = new AbortController()
    const options = { timeoutMs: 60_000, awaited: () => 'x', signal: stop.signal }
    const running = withDeadline(createNodeClock(), options, async signal => {
      stop.abort(new Error('mine'))
      signal.throwIfAborted()
    })
    await expect(running).rejects.toThrow('mine')
  })
})

test('collectFailures goes on after a failure', async () => {
  const done: string[] = []
  const fail = async (): Promise<never> => {
    throw new Error('no')
  }
  const failed = await collectFailures([
    ['a', async () => done.push('a')],
    ['b', fail],
    ['c', async () => done.push('c')],
  ])
  expect([done, failed]).toEqual([['a', 'c'], [{ step: 'b', message: 'no' }]])
})

test('an abort never lets two holders of one lock overlap', async () => {
  const clock = createNodeClock()
  const locks = queued({ withLock: async (_name, task) => await task() }, createNodeClock())
  const stop = new AbortController()
  let running = 0
  let most = 0
  const task = async (): Promise<void> => {
    most = Math.max(most, ++running)
    await clock.sleep(30)
    running--
  }
  setTimeout(() => stop.abort(), 10)
  const aborted = { timeoutMs: 1000, signal: stop.signal }
  await Promise.allSettled([
    locks.withLock('a', task, aborted),
    locks.withLock('a', task, aborted),
    locks.withLock('a', task, { timeoutMs: 1000 }),
  ])
  expect(most).toBe(1)
})
