import type { Scenario } from '../../test/scenarios/scenario.ts'

/** What tells a fault of the emulation from one of ours, and how to begin again. */
export interface FaultWatch<W> {
  /** How many guests have ended by a triple fault so far, as the hypervisors have logged it. */
  count(world: W): Promise<number>
  reset(world: W): Promise<void>
}

const attempts = 5

/**
 * The scenario, begun again whenever it failed and the emulation had ended a guest meanwhile: see README.md, what was
 * measured. What fails without that has failed.
 */
export const despiteTripleFaults = <W>(
  scenario: Scenario<W> & { readonly timeoutMs: number },
  watch: FaultWatch<W>
): Scenario<W> => ({
  ...scenario,
  timeoutMs: attempts * scenario.timeoutMs,
  run: async world => {
    for (let attempt = 1; ; attempt++) {
      const before = await watch.count(world)
      try {
        await scenario.run(world)
        return
      } catch (error) {
        if (attempt === attempts || (await watch.count(world)) === before) throw error
        console.log(`     ${scenario.name} begins again: the emulation ended its guest by a triple fault`)
        await watch.reset(world)
      }
    }
  },
})
