import { onAbort } from '../../flow/on-abort.ts'
import type { Clock } from '../../host/clock.ts'

/** A call to a port that waits for its turn. */
export interface Turn {
  /** Number of the process that calls. */
  readonly process: number
  /** What it does: `exec iscsiadm -m node`, `write /sys/…`. */
  readonly call: string
  /** Whether the call can change anything outside the process. */
  readonly isEffect: boolean
}

/** Picks whose turn it is, by index, or nobody's for now. The calls are in the order they came. */
export type Policy = (ready: readonly Turn[]) => number | undefined

/**
 * Virtual time, and the order of all that happens in it. Time stands still while anybody has something to do and
 * jumps to the next event when nobody has; it does not pass for background events alone.
 */
export interface Scheduler extends Clock {
  /** Resolves when it is this call's turn. */
  turn(turn: Turn): Promise<void>
  /** A background event: daemons, the kernel, the network. Returns what cancels it. */
  after(ms: number, happen: () => void): () => void
}

interface Timer {
  readonly atMs: number
  readonly order: number
  readonly isForeground: boolean
  readonly fire: () => void
}

export function createScheduler(policy: Policy = () => 0): Scheduler {
  let nowMs = 0
  let order = 0
  let isPumping = false
  const timers: Timer[] = []
  const ready: { readonly turn: Turn; readonly start: () => void }[] = []

  const pump = (): void => {
    isPumping = false
    const hasTimer = timers.some(({ isForeground }) => isForeground)
    const picked =
      ready.length === 0 ? undefined : (policy(ready.map(({ turn }) => turn)) ?? (hasTimer ? undefined : 0))
    if (picked !== undefined) ready.splice(picked, 1)[0]?.start()
    else if (hasTimer) {
      const next = timers.shift()
      nowMs = Math.max(nowMs, next?.atMs ?? nowMs)
      next?.fire()
    }
    arm()
  }
  // After each step everything that follows from it runs first: promises are settled before an immediate is.
  const arm = (): void => {
    if (isPumping || (ready.length === 0 && !timers.some(({ isForeground }) => isForeground))) return
    isPumping = true
    setImmediate(pump)
  }
  const add = (ms: number, isForeground: boolean, fire: () => void): (() => void) => {
    const timer: Timer = { atMs: nowMs + Math.max(0, ms), order: order++, isForeground, fire }
    const at = timers.findIndex(other => other.atMs > timer.atMs)
    timers.splice(at < 0 ? timers.length : at, 0, timer)
    arm()
    return () => {
      const index = timers.indexOf(timer)
      if (index >= 0) timers.splice(index, 1)
    }
  }
  return {
    now: () => nowMs,
    after: (ms, happen) => add(ms, false, happen),
    turn: async turn => {
      await new Promise<void>(resolve => {
        ready.push({ turn, start: resolve })
        arm()
      })
    },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const cancel = add(ms, true, () => {
          ignore()
          resolve()
        })
        const ignore = onAbort(signal, () => {
          cancel()
          reject(signal?.reason as Error)
        })
      })
    },
  }
}
