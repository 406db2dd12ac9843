import { describe } from '../host/command.ts'
import type { Executor } from '../host/executor.ts'
import type { Recording } from './cassette.ts'

/** An executor that remembers what it was asked and answered, for a cassette. */
export interface RecordingExecutor extends Executor {
  readonly recordings: readonly Recording[]
}

/** Passes every command on to `executor`, and keeps the answers. */
export function createRecordingExecutor(executor: Executor): RecordingExecutor {
  const recordings: Recording[] = []
  return {
    recordings,
    exec: async (command, options) => {
      const result = await executor.exec(command, options)
      recordings.push({ command: describe(command), ...result })
      return result
    },
  }
}
