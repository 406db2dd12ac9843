import type { OperationOptions } from '../core/options.ts'
import type { Command, CommandResult } from './command.ts'

/**
 * Port to the processes of this host. Implementations start the process, wait, and report;
 * they never interpret exit codes, never retry.
 *
 * @throws {@link LunError} `COMMAND_NOT_FOUND`, `COMMAND_TIMEOUT`, `COMMAND_KILLED`; `signal.reason` on abort.
 */
export interface Executor {
  exec(command: Command<unknown>, options?: OperationOptions): Promise<CommandResult>
}

/** Runs `command` and decodes its answer. */
export async function run<T>(executor: Executor, command: Command<T>, options?: OperationOptions): Promise<T> {
  options?.signal?.throwIfAborted()
  return command.decode(await executor.exec(command, options))
}
