import { LunError } from '../../core/error.ts'
import type { FailedStep } from '../../core/error-details.ts'
import { type Command, describe } from '../../host/command.ts'
import { type Executor, run } from '../../host/executor.ts'

/** One thing to be done to the host; each may be repeated. */
export interface InstallStep {
  readonly name: string
  readonly run: () => Promise<unknown>
}

/**
 * Does all of it. Nothing interrupts it, since half of an installation is worse than the moment it takes.
 *
 * @throws {@link LunError} `INSTALL_INCOMPLETE`; what the first step throws, since nothing has been done by then
 */
export async function runSteps(steps: readonly InstallStep[]): Promise<void> {
  const done: string[] = []
  for (const step of steps) {
    try {
      await step.run()
      done.push(step.name)
    } catch (cause) {
      if (done.length === 0) throw cause
      const failed: FailedStep = { step: step.name, message: cause instanceof Error ? cause.message : String(cause) }
      const message = `${step.name}: ${failed.message}; done by then: ${done.join(', ')}`
      throw new LunError('INSTALL_INCOMPLETE', message, { done, failed }, { cause })
    }
  }
}

export function commandSteps(executor: Executor, commands: readonly Command<unknown>[]): readonly InstallStep[] {
  return commands.map(command => ({ name: describe(command), run: async () => await run(executor, command) }))
}
