import { describe } from '../host/command.ts'
import type { Executor } from '../host/executor.ts'

/** An executor that knows what it is waiting for. */
export interface RunningCommands {
  readonly executor: Executor
  /** The commands that have not ended, those that began first at the front. */
  readonly running: () => readonly string[]
  /** The last one that did not come to its end, most likely because the time was over. */
  readonly cut: () => string | undefined
}

export function watchCommands(inner: Executor): RunningCommands {
  const running = new Set<{ readonly text: string }>()
  let cut: string | undefined
  return {
    executor: {
      exec: async (command, options) => {
        const entry = { text: describe(command) }
        running.add(entry)
        try {
          return await inner.exec(command, options)
        } catch (error) {
          cut = entry.text
          throw error
        } finally {
          running.delete(entry)
        }
      },
    },
    running: () => [...running].map(({ text }) => text),
    cut: () => cut,
  }
}
