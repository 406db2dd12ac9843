import { describe } from '../host/command.ts'
import type { Executor } from '../host/executor.ts'
import type { Recording } from './cassette.ts'

/** An executor that answers from recordings. */
export interface ReplayExecutor extends Executor {
  /** Every command asked for, in order. */
  readonly calls: readonly string[]
  /** Recordings nobody asked for yet. */
  unused(): readonly string[]
}

/** Answers equal commands in recorded order, the last answer again and again. An unrecorded command is an error. */
export function createReplayExecutor(recordings: readonly Recording[]): ReplayExecutor {
  const queues = new Map<string, Recording[]>()
  for (const recording of recordings) {
    queues.set(recording.command, [...(queues.get(recording.command) ?? []), recording])
  }
  const calls: string[] = []
  return {
    calls,
    unused: () => [...queues.keys()].filter(command => !calls.includes(command)),
    exec: async (command, options) => {
      options?.signal?.throwIfAborted()
      const text = describe(command)
      calls.push(text)
      const queue = queues.get(text)
      const answer = queue !== undefined && queue.length > 1 ? queue.shift() : queue?.[0]
      if (answer === undefined) throw new Error(`no recording of: ${text}`)
      return answer
    },
  }
}
