import assert from 'node:assert/strict'
import { target } from '../../../test/scenarios/lun.ts'
import type { Hosts } from '../hosts.ts'
import { assertRunsOn, endGuest, guest, type HostsScenario, startGuest, waitForBeats } from './guest.ts'

/** The other host cannot reach the storage: the migration fails with the reason, and the guest writes on where it is. */
async function failed(hosts: Hosts): Promise<void> {
  const { hosta, hostb, storage } = hosts
  await startGuest(hosts, hosta)
  const before = await hosta.ask.snapshot()
  await storage.ask.cutHost(hostb.name)
  const { exitCode, stderr } = await hosta.ask.sendGuest(guest, hostb.name)
  assert.notEqual(exitCode, 0, 'xl has migrated the guest to a host without a disk')
  const said = `${stderr}\n${await hostb.ask.receiverLog()}`
  assert.ok(said.includes(target), `xl does not say why:\n${said}`)
  await hostb.ask.expectClean()
  assert.deepEqual(await hostb.ask.guests(), [])
  await waitForBeats(hosts, 5)
  await assertRunsOn(hosts, hosta)
  assert.deepEqual(await hosta.ask.snapshot(), before)
  await storage.ask.restoreHosts()
  const beats = await endGuest(hosts, hosta)
  console.log(`     ${beats} blocks written, all of them there`)
}

export const failedMigrationScenarios: readonly HostsScenario[] = [
  {
    name: 'migration-failed',
    about: 'The other host does not get the LUN: the migration fails with the reason, the guest writes on where it is',
    onlyOnDom0: 'it takes two hosts',
    isLong: true,
    timeoutMs: 480_000,
    run: failed,
  },
]
