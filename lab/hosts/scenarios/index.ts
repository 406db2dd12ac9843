import type { Scenario } from '../../../test/scenarios/scenario.ts'
import type { Hosts } from '../hosts.ts'
import { resetHosts } from '../reset.ts'
import { despiteTripleFaults, type FaultWatch } from '../triple-faults.ts'
import { failedMigrationScenarios } from './failed-migration.ts'
import { migrationScenarios } from './migration.ts'

const watch: FaultWatch<Hosts> = {
  count: async ({ hosta, hostb }) => (await hosta.ask.countTripleFaults()) + (await hostb.ask.countTripleFaults()),
  reset: resetHosts,
}

/** All scenarios for two Xen hosts and their storage, in the order in which they run. */
export const hostsScenarios: readonly Scenario<Hosts>[] = [...migrationScenarios, ...failedMigrationScenarios].map(
  scenario => despiteTripleFaults(scenario, watch)
)
