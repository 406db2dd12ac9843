import { scenarios as shared } from '../../test/scenarios/index.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import type { World } from '../world/world.ts'
import { guestScenarios } from './guest.ts'
import { smoke } from './smoke.ts'

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario<World>[] = [...smoke, ...shared, ...guestScenarios]
