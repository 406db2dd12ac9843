import createDebug from 'debug'
import { describe } from './command.ts'
import type { Executor } from './executor.ts'

const log = createDebug('xen-lun:exec')

/** Prints each command and its exit code when `DEBUG` names `xen-lun:exec`. */
export function logged(executor: Executor): Executor {
  return {
    exec: async (command, options) => {
      const startedMs = performance.now()
      const took = (): string => `${Math.round(performance.now() - startedMs)} ms`
      try {
        const result = await executor.exec(command, options)
        log('%s: exit %d, %s', describe(command), result.exitCode, took())
        return result
      } catch (error) {
        log('%s: %s, %s', describe(command), error instanceof Error ? error.message : String(error), took())
        throw error
      }
    },
  }
}
