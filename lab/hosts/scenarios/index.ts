import type { Scenario } from '../../../test/scenarios/scenario.ts'
import type { Hosts } from '../hosts.ts'
import { failedMigrationScenarios } from './failed-migration.ts'
import { migrationScenarios } from './migration.ts'

/** All scenarios for two Xen hosts and their storage, in the order in which they run. */
export const hostsScenarios: readonly Scenario<Hosts>[] = [...migrationScenarios, ...failedMigrationScenarios]
