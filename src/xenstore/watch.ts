import type { OperationOptions } from '../core/options.ts'
import { onAbort } from '../flow/on-abort.ts'
import type { Link, WatchListener } from './link.ts'
import { xenstorePath } from './path.ts'
import type { XenstoreEvent } from './types.ts'

const MAX_WAITING = 1000

/** Each loop over the answer is a watch of its own, from its first turn on. */
export function createWatch(
  link: Link,
  text: string,
  options: OperationOptions | undefined
): AsyncIterable<XenstoreEvent> {
  const path = xenstorePath(text)
  return { [Symbol.asyncIterator]: () => createIterator(link, path, options?.signal) }
}

interface Waiter {
  readonly resolve: (result: IteratorResult<XenstoreEvent, undefined>) => void
  readonly reject: (error: unknown) => void
}

// No generator: its return() waits for the next event, which may never come.
function createIterator(
  link: Link,
  path: string,
  signal: AbortSignal | undefined
): AsyncIterator<XenstoreEvent, undefined> {
  const events = new Set<string>()
  const waiters: Waiter[] = []
  let state: 'new' | 'open' | 'ended' = 'new'
  let failure: { readonly error: unknown } | undefined
  let unwatch: (() => void) | undefined
  let ignore = (): void => {}

  const settle = (): void => {
    while (waiters.length > 0) {
      const [event] = events
      if (event !== undefined) {
        events.delete(event)
        waiters.shift()?.resolve({ value: { path: event }, done: false })
      } else if (failure !== undefined) {
        waiters.shift()?.reject(failure.error)
        failure = undefined
      } else if (state === 'ended') waiters.shift()?.resolve({ value: undefined, done: true })
      else return
    }
  }
  const end = (): void => {
    state = 'ended'
    ignore()
    unwatch?.()
    unwatch = undefined
    settle()
  }
  const stop = (): void => {
    events.clear()
    end()
  }
  const listener: WatchListener = {
    onEvent: event => {
      if (state !== 'open') return
      // Nobody keeps up with so many: one event says that anything may have changed.
      if (events.size >= MAX_WAITING) {
        events.clear()
        events.add(path)
      } else events.add(event)
      settle()
    },
    onEnd: error => {
      if (state === 'ended') return
      if (error !== undefined) failure = { error }
      end()
    },
  }
  const begin = async (): Promise<void> => {
    state = 'open'
    ignore = onAbort(signal, stop)
    if (isEnded()) return
    try {
      const cancel = await link.watch(path, listener)
      if (isEnded()) cancel()
      else unwatch = cancel
    } catch (error) {
      listener.onEnd(error)
    }
  }
  const isEnded = (): boolean => state === 'ended'
  return {
    next: async () => {
      if (state === 'new') void begin()
      return await new Promise((resolve, reject) => {
        waiters.push({ resolve, reject })
        settle()
      })
    },
    return: async () => {
      stop()
      return { value: undefined, done: true }
    },
  }
}
