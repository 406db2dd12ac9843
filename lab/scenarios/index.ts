import type { Scenario } from '../scenario.ts'
import { attachScenarios } from './attach.ts'
import { chapScenarios } from './chap.ts'
import { faultScenarios } from './faults.ts'
import { guestScenarios } from './guest.ts'
import { ifaceScenarios } from './ifaces.ts'
import { smoke } from './smoke.ts'

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  ...smoke,
  ...attachScenarios,
  ...faultScenarios,
  ...chapScenarios,
  ...ifaceScenarios,
  ...guestScenarios,
]
