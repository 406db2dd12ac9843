import type { Clock } from '../../host/clock.ts'
import type { Scheduler } from './scheduler.ts'

/** A process of the simulated dom0 that uses the library. Once it is dead, nothing it began comes to an end. */
export interface SimulatedProcess {
  readonly pid: number
  readonly clock: Clock
  /** Waits for its turn to see something. */
  look(call: string): Promise<void>
  /** Waits for its turn to change something. */
  act(call: string): Promise<void>
  /** Waits for something that happens outside, for ever if the process dies meanwhile. */
  wait<T>(happening: Promise<T>): Promise<T>
  /** Opens a file, by its inode; closed at the latest with the process. */
  open(inode: number): number
  close(descriptor: number): void
  /** Which file is open; it may have been removed since. */
  inodeOf(descriptor: number): number | undefined
  isDead(): boolean
  /** SIGKILL. */
  kill(): void
}

// setTimeout() of Node: what it cannot count, NaN and Infinity too, is 1 ms.
const TIMER_MAX_MS = 2 ** 31 - 1
const OVERFLOW_MS = 1

/** `onClose` hears of every descriptor that goes, whoever closes it. */
export function createProcess(
  pid: number,
  scheduler: Scheduler,
  onClose: (pid: number, descriptor: number) => void
): SimulatedProcess {
  const descriptors = new Map<number, number>()
  let nextDescriptor = 10
  let isDead = false
  const alive = async (): Promise<void> => {
    if (isDead) await new Promise(() => {})
  }
  const turn = async (call: string, isEffect: boolean): Promise<void> => {
    await alive()
    await scheduler.turn({ process: pid, call, isEffect })
    await alive()
  }
  const close = (descriptor: number): void => {
    if (descriptors.delete(descriptor)) onClose(pid, descriptor)
  }
  return {
    pid,
    clock: {
      now: () => scheduler.now(),
      sleep: async (ms, signal) => {
        await alive()
        await scheduler.sleep(ms <= TIMER_MAX_MS ? ms : OVERFLOW_MS, signal)
        await alive()
      },
    },
    look: async call => await turn(call, false),
    act: async call => await turn(call, true),
    wait: async happening => {
      const result = await happening.then(
        value => ({ value }),
        (error: unknown) => ({ error })
      )
      await alive()
      if ('error' in result) throw result.error
      return result.value
    },
    open: inode => {
      const descriptor = nextDescriptor++
      descriptors.set(descriptor, inode)
      return descriptor
    },
    close,
    inodeOf: descriptor => descriptors.get(descriptor),
    isDead: () => isDead,
    kill: () => {
      isDead = true
      for (const descriptor of descriptors.keys()) close(descriptor)
    },
  }
}
