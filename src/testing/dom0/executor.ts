import { LunError } from '../../core/error.ts'
import type { OperationOptions } from '../../core/options.ts'
import { onAbort } from '../../flow/on-abort.ts'
import { type Command, type CommandResult, describe } from '../../host/command.ts'
import type { Executor } from '../../host/executor.ts'
import type { SimulatedProcess } from './process.ts'
import { answer, type OpenFile, type Program } from './program.ts'

const DEFAULT_TIMEOUT_MS = 30_000

/** The executor port of one process; `started` gets a line for each program. */
export function createExecutor(
  programs: Readonly<Record<string, Program>>,
  process: SimulatedProcess,
  started: string[]
): Executor {
  return {
    exec: async (command, options = {}) => {
      options.signal?.throwIfAborted()
      const line = describe(command)
      await process.act(`run ${line}`)
      const program = programs[command.file]
      if (program === undefined) {
        throw new LunError('COMMAND_NOT_FOUND', `${command.file} is not installed`, { file: command.file })
      }
      started.push(line)
      const descriptors = (command.descriptors ?? []).map(
        (descriptor): OpenFile => ({ pid: process.pid, descriptor, inode: process.inodeOf(descriptor) ?? 0 })
      )
      return await process.wait(limited(program, command, descriptors, process, options))
    },
  }
}

/** Ends a program at its time limit and on an abort, as execa would. */
async function limited(
  program: Program,
  command: Command<unknown>,
  descriptors: readonly OpenFile[],
  { clock }: SimulatedProcess,
  { signal }: OperationOptions
): Promise<CommandResult> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = command
  const over = new AbortController()
  let isKilled = false
  const running = program.run(command.args, { descriptors, isKilled: () => isKilled })
  const late = clock.sleep(timeoutMs, over.signal).then(
    () => {
      const line = describe(command)
      throw new LunError('COMMAND_TIMEOUT', `${line} took longer than ${timeoutMs} ms`, { command: line, timeoutMs })
    },
    () => answer('') // it ended in time
  )
  let ignore = (): void => {}
  const stopped = new Promise<never>((_, reject) => {
    ignore = onAbort(signal, () => reject(signal?.reason as Error))
  })
  try {
    return await Promise.race([running, late, stopped])
  } catch (error) {
    isKilled = true
    throw error
  } finally {
    over.abort()
    ignore()
  }
}
