import type { FailedStep } from '../core/error-details.ts'

/** Runs every step in order, whatever fails, and answers what failed: cleaning up never stops half-way. */
export async function collectFailures(
  steps: readonly (readonly [step: string, run: () => Promise<unknown>])[]
): Promise<readonly FailedStep[]> {
  const failed: FailedStep[] = []
  for (const [step, run] of steps) {
    try {
      await run()
    } catch (error) {
      failed.push({ step, message: error instanceof Error ? error.message : String(error) })
    }
  }
  return failed
}
