import assert from 'node:assert/strict'
import type { Hosts, XenHost } from '../hosts.ts'
import { prewarm } from '../prewarm.ts'
import { assertRunsOn, endGuest, guest, type HostsScenario, startGuest, volume, waitForBeats } from './guest.ts'

/** How a migration went. */
interface Move {
  /** The block script's `add` on the host that was gone to. */
  readonly addMs: number
  /** All of xl's work. */
  readonly tookMs: number
  /** The longest time without a new block on the volume. */
  readonly silentMs: number
}

/** Migrates the guest, which goes on writing, and wants nothing left where it was. */
async function move(hosts: Hosts, from: XenHost, to: XenHost): Promise<Move> {
  const { storage } = hosts
  await to.ask.forgetScriptRuns()
  await storage.ask.startWatch(volume)
  const startedMs = performance.now()
  const { exitCode, stderr } = await from.ask.sendGuest(guest, to.name)
  const tookMs = performance.now() - startedMs
  assert.equal(exitCode, 0, `${stderr}\n${await to.ask.receiverLog()}`)
  await waitForBeats(hosts, 5)
  const { longestGapMs } = await storage.ask.stopWatch()
  await from.ask.expectClean()
  await assertRunsOn(hosts, to)
  await to.ask.assertSnapshotWorks()
  const add = (await to.ask.scriptRuns()).find(({ action }) => action === 'add')
  assert.equal(add?.exitCode, 0)
  return { addMs: add?.tookMs ?? 0, tookMs, silentMs: longestGapMs }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

function print(route: string, { addMs, tookMs, silentMs }: Move): void {
  console.log(`     ${route}: add ${seconds(addMs)}, no block for ${seconds(silentMs)}, xl migrate ${seconds(tookMs)}`)
}

async function thereAndBack(hosts: Hosts): Promise<void> {
  const { hosta, hostb } = hosts
  await startGuest(hosts, hosta)
  await assertRunsOn(hosts, hosta)
  print('there', await move(hosts, hosta, hostb))
  print('back', await move(hosts, hostb, hosta))
  const beats = await endGuest(hosts, hosta)
  console.log(`     ${beats} blocks written on two hosts, all of them there`)
}

async function prewarmed(hosts: Hosts): Promise<void> {
  const { hosta, hostb } = hosts
  await startGuest(hosts, hosta)
  const cool = await prewarm(hosts, hostb)
  const warm = await move(hosts, hosta, hostb)
  await cool()
  await assertRunsOn(hosts, hostb)
  await waitForBeats(hosts, 3)
  const cold = await move(hosts, hostb, hosta)
  print('prewarmed', warm)
  print('not prewarmed', cold)
  const beats = await endGuest(hosts, hosta)
  console.log(`     ${beats} blocks written on two hosts, all of them there`)
  assert.ok(warm.addMs < cold.addMs, 'a LUN that is there already is attached sooner')
}

export const migrationScenarios: readonly HostsScenario[] = [
  {
    name: 'migration',
    about: 'A guest that writes migrates live to the other host and back: no block lost, nothing left where it was',
    onlyOnDom0: 'it takes two hosts',
    isLong: true,
    timeoutMs: 480_000,
    run: thereAndBack,
  },
  {
    name: 'migration-prewarmed',
    about: 'The same with the LUN attached ahead: the guest is silent for less time',
    onlyOnDom0: 'it takes two hosts',
    isLong: true,
    timeoutMs: 480_000,
    run: prewarmed,
  },
]
