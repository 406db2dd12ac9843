import type { EventContext, LunEvent, Observer, Step } from '../core/event.ts'
import type { OperationOptions } from '../core/options.ts'
import { withDeadline } from '../flow/deadline.ts'
import type { Clock } from '../host/clock.ts'
import type { Host } from '../host/host.ts'
import type { LunPlace } from './journal/journal.ts'
import { type OwnerName, ownerName } from './journal/owner.ts'
import { withLun } from './locks.ts'

/** Options of every operation on a LUN. */
export interface LunOptions extends OperationOptions {
  /**
   * Deadline of the operation itself; taking back what it did has a deadline of its own. 1 to 2 147 483 647, as every
   * time that is an option. Default 30 000.
   */
  readonly timeoutMs?: number | undefined
  /** Hears what happens, as it happens. */
  readonly onEvent?: Observer | undefined
  /** Where to act. Default: this machine. */
  readonly host?: Host | undefined
  /**
   * Who holds the LUN: a vbd's XENBUS_PATH, or any name. Each owner holds a LUN once, however often it attaches, and
   * it goes with its last owner. Default `default`.
   */
  readonly owner?: string | undefined
}

type Unplaced<E> = E extends unknown ? Omit<E, keyof EventContext> : never

/** One running operation: its signal, and a voice. */
export interface Operation extends LunPlace {
  readonly owner: OwnerName
  readonly timeoutMs: number
  /** On the host's clock, when the deadline is. */
  readonly deadlineMs: number
  /** Fires on the caller's signal and at the deadline. */
  readonly signal: AbortSignal
  readonly emit: (event: Unplaced<LunEvent>) => void
  /** Keeps the LUN from others until `work` settles too; the operation itself does not wait for it. */
  readonly keep: (work: Promise<unknown>) => void
  /** Reports start and end of `task`, and names it should the deadline strike meanwhile. */
  step<T>(step: Step, task: () => Promise<T>): Promise<T>
}

export const OPERATION_TIMEOUT_MS = 30_000

/** Runs `task` as one operation that has the LUN to itself. */
export async function runOnLun<T>(
  host: Host,
  place: { readonly operation: EventContext['operation'] } & LunPlace,
  options: LunOptions,
  task: (operation: Operation) => Promise<T>
): Promise<T> {
  const { timeoutMs = OPERATION_TIMEOUT_MS } = options
  const owner = ownerName(options.owner)
  return await runOperation(host.clock, place, options, async operation => {
    const limits = { timeoutMs, signal: operation.signal }
    return await new Promise<T>((resolve, reject) => {
      const kept: Promise<unknown>[] = []
      const work = async (): Promise<T> => {
        const result = await task({ ...operation, owner, timeoutMs, keep: promise => kept.push(promise) })
        // Otherwise the lock is free before the caller goes on, who may end this process at once.
        if (kept.length > 0) resolve(result)
        await Promise.allSettled(kept)
        return result
      }
      withLun(host, place, limits, work).then(resolve, reject)
    })
  })
}

/** Runs `task` as one operation with a deadline, an end and events. */
async function runOperation<T>(
  clock: Clock,
  context: Pick<EventContext, 'operation'> & LunPlace,
  { signal, timeoutMs = OPERATION_TIMEOUT_MS, onEvent }: Pick<LunOptions, 'signal' | 'timeoutMs' | 'onEvent'>,
  task: (operation: Omit<Operation, 'keep' | 'owner' | 'timeoutMs'>) => Promise<T>
): Promise<T> {
  const startedMs = clock.now()
  const emit: Operation['emit'] = event => {
    if (onEvent === undefined) return
    try {
      onEvent({ ...context, ...event, elapsedMs: Math.round(clock.now() - startedMs) })
    } catch {
      // An observer cannot break an operation.
    }
  }
  const running: Step[] = []
  const awaited = (): string =>
    `the ${context.operation} of LUN ${context.lun} of ${context.target}${running.length > 0 ? ` (${running.at(-1)})` : ''}`
  return await withDeadline(clock, { signal, timeoutMs, awaited }, async stop => {
    const step = async <R>(name: Step, work: () => Promise<R>): Promise<R> => {
      running.push(name)
      emit({ type: 'start', step: name })
      const result = await work()
      running.pop()
      emit({ type: 'end', step: name })
      return result
    }
    const { target, lun } = context
    return await task({ target, lun, deadlineMs: startedMs + timeoutMs, signal: stop, emit, step })
  })
}
