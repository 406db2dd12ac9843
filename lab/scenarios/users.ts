import assert from 'node:assert/strict'
import { type Attachment, detachLun } from 'xen-lun'
import { assertAttached, attach, presentLuns } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { mountDevice } from '../world/file-systems.ts'
import { refuseAllDisks } from '../world/multipath-conf.ts'
import type { World } from '../world/world.ts'
import { address, assertRefused, type UseName, whileUsed } from './uses.ts'

const DETACH_MS = 90_000
const LINGER_MS = 60_000

const ofMap: readonly UseName[] = [
  'ext4 mounted',
  'btrfs mounted',
  'mounted in another namespace',
  'swap',
  'LVM',
  'dm-crypt',
  'linear map',
  'partition map mounted',
  'partition map open',
  'md',
  'LIO',
  'process',
]

/** All maps of the host claim a disk as one, so those of others can stand beside ours. */
const besideMap: readonly UseName[] = ['LVM', 'dm-crypt', 'linear map', 'partition map open', 'process']

const ofDisk: readonly UseName[] = [
  'ext4 mounted',
  'btrfs mounted',
  'mounted in another namespace',
  'swap',
  'LVM',
  'dm-crypt',
  'kernel partition mounted',
  'kernel partition open',
  'md',
  'LIO',
  'process',
]

/** Whatever uses the device, neither is the LUN detached nor left to linger; then it is free again. */
async function assertKept(world: World, name: UseName, device: string, through?: string): Promise<void> {
  const check = async (names: Parameters<typeof assertRefused>[1]): Promise<void> => {
    const tookMs = await assertRefused(world, names)
    await assertRefused(world, names, { lingerMs: LINGER_MS })
    console.error(`LAB: ${name} on ${device}: refused after ${tookMs.toFixed(0)} ms`)
  }
  try {
    await whileUsed(name, device, check, through)
  } catch (cause) {
    throw new Error(`${name} on ${device}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

async function assertDetaches(world: World): Promise<void> {
  const { outcome, writes } = await detachLun(address, { host: world.host, timeoutMs: DETACH_MS })
  assert.deepEqual([outcome, writes], ['detached', 'written'])
  await world.expectClean()
}

async function usersOfMap(world: World): Promise<void> {
  await presentLuns(world, 0)
  const lun = await attach(world)
  for (const name of ofMap) {
    await assertKept(world, name, lun.device)
    await assertAttached(world, lun, 2)
  }
  await assertDetaches(world)
}

/** The device of one path of the map. */
async function pathOf(world: World, { map }: Attachment): Promise<string> {
  const found = (await world.snapshot()).maps.find(({ name }) => name === map?.name)
  return `/dev/${found?.disks[0]}`
}

async function usersOfPath(world: World): Promise<void> {
  await presentLuns(world, 0)
  const lun = await attach(world)
  const path = await pathOf(world, lun)
  for (const name of besideMap) {
    await assertKept(world, name, path, lun.device)
    await assertAttached(world, lun, 2)
  }
  await assertDetaches(world)
}

async function usersOfDisk(world: World): Promise<void> {
  await using _conf = await refuseAllDisks()
  await presentLuns(world, 0)
  const [portal] = world.san.portals
  const { device, map } = await attach(world, { portals: [portal], multipath: 'never' })
  assert.equal(map, undefined)
  for (const name of ofDisk) await assertKept(world, name, device)
  await assertDetaches(world)
}

/** The library asks the kernel as it is meant to be asked. */
async function exclusiveOpen(world: World): Promise<void> {
  const { files } = world.host
  await presentLuns(world, 0)
  const lun = await attach(world)
  const path = await pathOf(world, lun)
  const claims = async (): Promise<readonly unknown[]> =>
    await Promise.all([lun.device, path, '/dev/no-such-disk'].map(async device => await files.isClaimed(device)))
  assert.deepEqual(await claims(), [false, true, undefined])
  const holder = await world.holdDevice(lun.device)
  assert.deepEqual(await claims(), [false, true, undefined], 'a process claims nothing')
  await holder.release()
  const { release } = await mountDevice(lun.device)
  assert.deepEqual(await claims(), [true, true, undefined])
  await release()
  assert.deepEqual(await claims(), [false, true, undefined])
  await assertDetaches(world)
}

const common = { onlyOnDom0: 'it takes a kernel', isLong: true, timeoutMs: 600_000 } as const

export const userScenarios: readonly Scenario<World>[] = [
  {
    name: 'users-of-map',
    about: `A map is not taken from who uses it, nor left to linger: ${ofMap.join(', ')}`,
    ...common,
    run: usersOfMap,
  },
  {
    name: 'users-of-path',
    about: `Nor is a path from who uses it beside the map: ${besideMap.join(', ')}`,
    ...common,
    run: usersOfPath,
  },
  {
    name: 'users-of-disk',
    about: `Nor is a disk without a map: ${ofDisk.join(', ')}`,
    ...common,
    run: usersOfDisk,
  },
  {
    name: 'exclusive-open',
    about: 'Mounts and maps claim a device, a process that has it open does not, and the library sees that',
    onlyOnDom0: common.onlyOnDom0,
    run: exclusiveOpen,
  },
]
