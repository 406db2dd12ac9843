import assert from 'node:assert/strict'
import { target } from '../../../test/scenarios/lun.ts'
import type { Scenario } from '../../../test/scenarios/scenario.ts'
import { disk } from '../../scenarios/disk.ts'
import type { Hosts, XenHost } from '../hosts.ts'
import { initiatorOf } from '../layout.ts'
import { prewarm } from '../prewarm.ts'

/** One attempt takes `timeoutMs` at most. */
export type HostsScenario = Scenario<Hosts> & { readonly timeoutMs: number }

/** The volume behind LUN 0 of the scenarios' target. */
export const volume = 'v0'
export const guest = 'g1'

const bootTimeoutMs = 150_000
const beatTimeoutMs = 60_000

/** Makes the volume and starts the guest that writes to it; its LUN is attached ahead, since nothing is measured here. */
export async function startGuest(hosts: Hosts, host: XenHost): Promise<void> {
  const { storage } = hosts
  await storage.ask.addVolume({ name: volume, sizeMiB: 64 })
  await storage.ask.addTarget({ iqn: target, luns: { 0: volume } })
  const portals = await storage.ask.portals()
  const cool = await prewarm(hosts, host)
  await host.ask.createGuest({
    name: guest,
    type: 'pvh',
    memoryMiB: 96,
    disks: [disk({ san: { portals } }, 'xvda', 0)],
  })
  await cool()
  await storage.ask.waitForBeat(volume, { timeoutMs: bootTimeoutMs })
}

/** The guest has written so many more blocks. */
export async function waitForBeats({ storage }: Hosts, count: number): Promise<void> {
  const after = (await storage.ask.readBeat(volume)) + count - 1
  await storage.ask.waitForBeat(volume, { after, timeoutMs: beatTimeoutMs })
}

/** The guest is on this host, with both paths, and the storage serves no other. */
export async function assertRunsOn({ storage }: Hosts, host: XenHost): Promise<void> {
  assert.deepEqual(await host.ask.guests(), [guest])
  const { sessions, maps, vbds } = await host.ask.snapshot()
  assert.deepEqual([sessions.length, maps.length, maps[0]?.disks.length, vbds.length], [2, 1, 2, 1])
  const initiator = initiatorOf(host.name)
  assert.deepEqual(await storage.ask.initiators(target), [initiator, initiator])
}

/** Ends the guest; returns how many blocks it has written, all of which are on the volume. */
export async function endGuest({ storage }: Hosts, host: XenHost): Promise<number> {
  await host.ask.destroyGuest(guest)
  await host.ask.expectClean()
  const { beats } = await storage.ask.verifyLog(volume)
  return beats
}
