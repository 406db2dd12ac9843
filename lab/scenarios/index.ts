import { scenarios as shared } from '../../test/scenarios/index.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import type { World } from '../world/world.ts'
import { attachTimeScenarios } from './attach-times.ts'
import { concurrentScenarios } from './concurrent.ts'
import { conditionScenarios } from './conditions.ts'
import { enduranceScenarios } from './endurance.ts'
import { guestScenarios } from './guest.ts'
import { guestOnPathScenarios } from './guest-on-path.ts'
import { killScenarios } from './kill.ts'
import { latePathScenarios } from './late-paths.ts'
import { lockAttackScenarios } from './lock-attacks.ts'
import { manyDisksScenarios } from './many-disks.ts'
import { safetyScenarios } from './safety.ts'
import { scriptBudgetScenarios } from './script-budget.ts'
import { scriptDefectScenarios } from './script-defects.ts'
import { secretScenarios } from './secrets.ts'
import { sharedDiskScenarios } from './shared-disk.ts'
import { smoke } from './smoke.ts'
import { stubDomainScenarios } from './stub-domain.ts'
import { twoTargetScenarios } from './two-targets.ts'
import { userScenarios } from './users.ts'
import { xenstoreSpeed } from './xenstore-speed.ts'

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario<World>[] = [
  ...smoke,
  ...shared,
  ...xenstoreSpeed,
  ...safetyScenarios,
  ...userScenarios,
  ...guestOnPathScenarios,
  ...twoTargetScenarios,
  ...conditionScenarios,
  ...stubDomainScenarios,
  ...secretScenarios,
  ...lockAttackScenarios,
  ...guestScenarios,
  ...scriptDefectScenarios,
  ...scriptBudgetScenarios,
  ...latePathScenarios,
  ...manyDisksScenarios,
  ...sharedDiskScenarios,
  ...killScenarios,
  ...concurrentScenarios,
  ...enduranceScenarios,
  ...attachTimeScenarios,
]
