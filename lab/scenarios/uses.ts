import assert from 'node:assert/strict'
import { realpath } from 'node:fs/promises'
import { basename } from 'node:path'
import { type DetachOptions, type DeviceUser, detachLun, isLunError } from 'xen-lun'
import { rejection, target, timed } from '../../test/scenarios/lun.ts'
import { startCommand } from '../world/children.ts'
import { isClaimed, wipeDevice } from '../world/devices.ts'
import { mountDevice, mountElsewhere } from '../world/file-systems.ts'
import { createLogicalVolume } from '../world/lvm.ts'
import { findPartition, mapPartition, type Partition } from '../world/partitions.ts'
import { buildArray, encrypt, exportAgain, mapLinear, type Stacked, swapOn } from '../world/stacked.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'

/** LUN 0 of the scenarios' target. */
export const address = { target, lun: 0 }

type Named = Pick<DeviceUser, 'kind' | 'name'>

/** One who uses a device. */
export interface Use extends AsyncDisposable {
  /** One of these the error must name; none where only the kernel knows that the device is used. */
  readonly names: readonly Named[]
}

/** Begins to use a device. If it is the path of a map, what has to be written goes through that map. */
export type BeginUse = (device: string, through: string) => Promise<Use>

const use = (names: readonly Named[], ...releases: readonly (() => Promise<unknown>)[]): Use => ({
  names,
  [Symbol.asyncDispose]: async () => {
    for (const release of releases) await release()
  },
})

async function open(device: string): Promise<Use> {
  const sleep = await startCommand('sleep', ['600'], { stdin: device })
  return use([{ kind: 'process', name: `${sleep.pid} sleep` }], async () => await sleep.kill())
}

const mounted =
  (type: 'ext4' | 'btrfs'): BeginUse =>
  async device => {
    const { mountPoint, release } = await mountDevice(device, type)
    return use([{ kind: 'mount', name: mountPoint }], release)
  }

const stacked =
  (stack: (device: string) => Promise<Stacked>): BeginUse =>
  async device => {
    const { name, release } = await stack(device)
    return use([{ kind: 'holder', name }], release)
  }

type FindPartition = (device: string, through: string) => Promise<Partition>

const partitionMounted =
  (find: FindPartition): BeginUse =>
  async (device, through) => {
    const partition = await find(device, through)
    const { mountPoint, release } = await mountDevice(partition.path)
    return use([{ kind: 'mount', name: mountPoint }], release, partition.release)
  }

const partitionOpen =
  (find: FindPartition): BeginUse =>
  async (device, through) => {
    const partition = await find(device, through)
    const opened = await open(partition.path)
    // Of a partition on a path the map is a holder like any other.
    const names = [...opened.names, { kind: 'holder', name: basename(partition.path) }] as const
    return use(names, async () => await opened[Symbol.asyncDispose](), partition.release)
  }

/** All ways to use a device that this host has. */
export const uses = {
  'ext4 mounted': mounted('ext4'),
  'btrfs mounted': mounted('btrfs'),
  'mounted in another namespace': async device => use([], (await mountElsewhere(device)).release),
  swap: async device => {
    const { release } = await swapOn(device)
    // /proc/swaps has the kernel's own name of a map.
    return use([{ kind: 'swap', name: basename(await realpath(device)) }], release)
  },
  LVM: async (device, through) => {
    const { dmName, release } = await createLogicalVolume(device, through)
    return use([{ kind: 'holder', name: dmName }], release)
  },
  'dm-crypt': stacked(encrypt),
  'linear map': stacked(mapLinear),
  'partition map mounted': partitionMounted(mapPartition),
  'partition map open': partitionOpen(mapPartition),
  'kernel partition mounted': partitionMounted(findPartition),
  'kernel partition open': partitionOpen(findPartition),
  md: stacked(buildArray),
  LIO: async device => use([], (await exportAgain(device)).release),
  process: open,
} as const satisfies Readonly<Record<string, BeginUse>>

export type UseName = keyof typeof uses

/** Uses the device while `work` goes on, and leaves it as it was. */
export async function whileUsed<T>(
  name: UseName,
  device: string,
  work: (names: readonly Named[]) => Promise<T>,
  through: string = device
): Promise<T> {
  const wasClaimed = await isClaimed(device)
  const result = await useDuring(name, device, work, through)
  // The kernel ends some claims after the call that let go has returned.
  await until(`${device} to be free of ${name}`, async () => (await isClaimed(device)) === wasClaimed)
  await wipeDevice(through)
  return result
}

async function useDuring<T>(
  name: UseName,
  device: string,
  work: (names: readonly Named[]) => Promise<T>,
  through: string
): Promise<T> {
  await using user = await uses[name](device, through)
  return await work(user.names)
}

/** Detaching fails with the user's name, and changes nothing; returns how long that took. */
export async function assertRefused(
  world: World,
  names: readonly Named[],
  options: DetachOptions = {}
): Promise<number> {
  const before = await world.snapshot()
  const { result: error, tookMs } = await timed(
    world,
    async () => await rejection(async () => await detachLun(address, { host: world.host, busyMs: 300, ...options }))
  )
  assert.ok(isLunError(error, 'LUN_IN_USE'), error.stack)
  const { users } = error.details
  assert.ok(users.length > 0, error.message)
  const found = names.find(named => users.some(({ kind, name }) => kind === named.kind && name.includes(named.name)))
  if (names.length > 0) {
    assert.ok(found !== undefined, `${JSON.stringify(names)} is not among ${JSON.stringify(users)}`)
    assert.ok(error.message.includes(found.name), error.message)
  }
  assert.deepEqual(await world.snapshot(), before)
  return tookMs
}
