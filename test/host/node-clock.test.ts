import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { withDeadline } from '../../src/flow/deadline.ts'
import { createNodeClock } from '../../src/host/node-clock.ts'

const DAY_MS = 86_400_000
const clock = createNodeClock()

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each([100 * DAY_MS, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
  'a sleep of %s ms is no short one, and ends with its signal',
  async ms => {
    const stop = new AbortController()
    let end: unknown = 'none yet'
    const note = (reason: unknown): void => {
      end = reason
    }
    const sleeping = clock.sleep(ms, stop.signal).then(note, note)
    await vi.advanceTimersByTimeAsync(60 * DAY_MS)
    expect(end).toBe('none yet')
    stop.abort('enough')
    await sleeping
    expect(end).toBe('enough')
    expect(vi.getTimerCount()).toBe(0)
  }
)

test('a sleep of more than Node can count ends in time', async () => {
  let isOver = false
  void clock.sleep(60 * DAY_MS).then(() => {
    isOver = true
  })
  await vi.advanceTimersByTimeAsync(60 * DAY_MS - 1)
  expect(isOver).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(isOver).toBe(true)
})

test('a sleep of no number is refused', async () => {
  await expect(clock.sleep(Number.NaN)).rejects.toMatchObject({ code: 'INVALID_INPUT', details: { field: 'ms' } })
})

test('a deadline that never comes does not come at once', async () => {
  const options = { timeoutMs: Number.POSITIVE_INFINITY, awaited: () => 'x' }
  const running = withDeadline(clock, options, async signal => {
    await clock.sleep(DAY_MS)
    return signal.aborted
  })
  await vi.advanceTimersByTimeAsync(DAY_MS)
  expect(await running).toBe(false)
  expect(vi.getTimerCount()).toBe(0)
})

test('any number of sleeps have one listener, and none when they are over', async () => {
  const { signal } = new AbortController()
  const sleeps = Array.from({ length: 20 }, async () => await clock.sleep(5, signal))
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(5)
  await Promise.all(sleeps)
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})
