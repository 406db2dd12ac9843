import { attachScenarios } from './attach.ts'
import { chapScenarios } from './chap.ts'
import { doctorScenarios } from './doctor.ts'
import { faultScenarios } from './faults.ts'
import { holdScenarios } from './holds.ts'
import { ifaceScenarios } from './ifaces.ts'
import { listScenarios } from './list.ts'
import type { Scenario } from './scenario.ts'
import { waitForBackendScenarios } from './wait-for-backend.ts'
import { xenstoreScenarios } from './xenstore.ts'

/** The scenarios of the library, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  ...attachScenarios,
  ...faultScenarios,
  ...holdScenarios,
  ...chapScenarios,
  ...ifaceScenarios,
  ...doctorScenarios,
  ...listScenarios,
  ...xenstoreScenarios,
  ...waitForBackendScenarios,
]
