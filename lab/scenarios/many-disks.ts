import assert from 'node:assert/strict'
import { presentLuns, target, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { measureCpu } from '../world/cpu.ts'
import { readText } from '../world/files.ts'
import { assertSnapshotWorks, installScript, scriptLog, scriptTimeoutMs } from '../world/install.ts'
import { createOwnDisk } from '../world/own-disk.ts'
import type { World } from '../world/world.ts'

/** What an emulated host, slow as it is, adds in the time xl gives; and what takes a quick one. */
const FEW = 8
const MANY = 20
const BOOT_MS = 120_000
// blkfront sets aside 4 MiB for each disk.
const MEMORY_MIB = 384

const vdevOf = (lun: number): string => `xvd${(lun + 10).toString(36)}`

/** How long each run of the block script took, from when xl started it. */
function runs(log: string, action: 'add' | 'remove'): readonly number[] {
  return [...log.matchAll(new RegExp(`backend/vbd/[0-9]+/[0-9]+: ${action}: done after ([0-9]+) ms`, 'g'))].map(
    ([, ms]) => Number(ms)
  )
}

function assertInTime(tookMs: readonly number[], action: string, disks: number): void {
  const sorted = tookMs.toSorted((a, b) => a - b)
  const [first = 0, last = 0] = [sorted[0], sorted.at(-1)]
  console.log(`     ${sorted.length} ${action}s: ${(first / 1000).toFixed(1)} to ${(last / 1000).toFixed(1)} s`)
  assert.equal(sorted.length, disks)
  assert.ok(last < scriptTimeoutMs, `${last} ms`)
}

function diskOf({ san }: World, lun: number, multipath: Multipath): string {
  const [portal] = san.portals
  const request = `iqn=${target},portal=${portal},lun=${lun},multipath=${multipath}`
  return `vdev=${vdevOf(lun)},access=rw,script=block-xen-lun,target=${request}`
}

/** One disk comes and goes; returns the number of its last session. */
async function addOnce(world: World, multipath: Multipath): Promise<number> {
  await using own = await createOwnDisk(world)
  assert.equal((await own.attach(diskOf(world, 0, multipath))).exitCode, 0)
  const { sessions } = await world.snapshot()
  assert.equal((await own.detach()).exitCode, 0)
  return Math.max(...sessions.map(({ id }) => id))
}

type Multipath = 'y' | 'n'

async function addAndRemove(world: World, multipath: Multipath, count: number): Promise<void> {
  const { guest } = world
  const luns = Array.from({ length: count }, (_, lun) => lun)
  await installScript()
  await presentLuns(world, ...luns)
  // QEMU has translated none of it yet: what a host does the first time takes it twice as long.
  const lastId = await addOnce(world, multipath)
  const since = readText(scriptLog).length
  const logged = (): string => readText(scriptLog).slice(since)
  const disks = luns.map(lun => diskOf(world, lun, multipath))
  const cpu = measureCpu()
  const { tookMs } = await timed(
    world,
    async () => await guest.create({ name: 'g1', disks, memoryMiB: MEMORY_MIB })
  ).finally(() => console.error(`${logged()}\nLAB: processor time: ${cpu().join(', ')}`))
  console.log(`     xl create: ${(tookMs / 1000).toFixed(1)} s`)
  assertInTime(runs(logged(), 'add'), 'add', count)
  const { sessions, maps, vbds } = await world.snapshot()
  assert.deepEqual([maps.length, vbds.length], [multipath === 'y' ? count : 0, count])
  // The kernel numbers all sessions it ever had.
  assert.deepEqual(
    sessions.map(({ iqn, id }) => [iqn, id]),
    [[target, lastId + 1]]
  )
  for (const lun of luns) await guest.waitForBeat(`v${lun}`, { timeoutMs: BOOT_MS })
  const added = logged().length
  await guest.destroy('g1').finally(() => console.error(logged().slice(added)))
  assertInTime(runs(logged(), 'remove'), 'remove', count)
  assertSnapshotWorks()
  await world.expectClean()
  for (const lun of luns) await guest.verifyLog(`v${lun}`)
}

/** On a host without multipathd, which would take the disks. */
async function plainDisks(world: World, count: number): Promise<void> {
  const { multipathd } = world.daemons
  await multipathd.stop()
  try {
    await addAndRemove(world, 'n', count)
  } finally {
    await multipathd.start()
  }
}

const common = { onlyOnDom0: 'it takes a guest, and xl to run it', isLong: true, timeoutMs: 600_000 } as const

export const manyDisksScenarios: readonly Scenario<World>[] = [
  {
    name: 'many-disks',
    about: `${FEW} disks of one guest, added and removed by xl side by side: all in time, one login for all of them`,
    ...common,
    run: async world => await plainDisks(world, FEW),
  },
  {
    name: 'more-disks',
    about: `The same with ${MANY}; on a machine that is slow or busy that is more than can be done in the time xl gives`,
    ...common,
    isTight: true,
    run: async world => await plainDisks(world, MANY),
  },
  {
    name: 'many-maps',
    about: `${MANY} with a map for each; on a machine that is slow or busy udev alone takes all the time xl gives`,
    ...common,
    isTight: true,
    run: async world => await addAndRemove(world, 'y', MANY),
  },
]
