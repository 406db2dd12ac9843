import { describe } from '../host/command.ts'
import type { Executor } from '../host/executor.ts'

/** An executor that knows what it is waiting for. */
export interface RunningCommands {
  readonly executor: Executor
  /** The commands that have not ended, those that began first at the front. */
  readonly running: () => readonly string[]
}

export function watchCommands(inner: Executor): RunningCommands {
  const running = new Set<{ readonly text: string }>()
  return {
    executor: {
      exec: async (command, options) => {
        const entry = { text: describe(command) }
        running.add(entry)
        try {
          return await inner.exec(command, options)
        } finally {
          running.delete(entry)
        }
      },
    },
    running: () => [...running].map(({ text }) => text),
  }
}
