import assert from 'node:assert/strict'
import { type Attachment, detachLun, prewarm } from 'xen-lun'
import { attach, presentLuns, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { startCommand } from '../world/children.ts'
import { readText } from '../world/files.ts'
import { mountHung } from '../world/hung.ts'
import { installScript } from '../world/install.ts'
import { refuseAllDisks } from '../world/multipath-conf.ts'
import { createOwnDisk } from '../world/own-disk.ts'
import { failLostSessionsAfter, waitForDeadDisks } from '../world/sessions.ts'
import { leftovers } from '../world/state.ts'
import { protectTarget } from '../world/targets.ts'
import { until, within } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { disk as diskLine } from './disk.ts'
import { attachDisk, detachDisk } from './own-guest.ts'
import { address, assertRefused } from './uses.ts'

const MIB = 1 << 20
const SECTOR_BYTES = 512
const DETACH_MS = 60_000

async function attachPlainDisk(world: World): Promise<Attachment> {
  await presentLuns(world, 0)
  return await attach(world, { portals: [world.san.portals[0]], multipath: 'never' })
}

/** It ends in time, whatever hangs. */
async function detachInTime({ host }: World): Promise<void> {
  const detaching = detachLun(address, { host, timeoutMs: DETACH_MS })
  const { outcome } = await within('the detach', detaching, DETACH_MS + 30_000)
  assert.equal(outcome, 'detached')
}

/** A process that has the device open keeps it. */
async function assertProcessKeeps(world: World, device: string, whileOpen: () => Promise<void>): Promise<void> {
  await using sleep = await startCommand('sleep', ['600'], { stdin: device })
  await whileOpen()
  const refusing = assertRefused(world, [{ kind: 'process', name: `${sleep.pid} sleep` }])
  await within('the refusal', refusing, DETACH_MS)
}

async function deadPlainDisk(world: World): Promise<void> {
  const { san } = world
  const [portal] = san.portals
  await using _conf = await refuseAllDisks()
  const { device } = await attachPlainDisk(world)
  await failLostSessionsAfter(3)
  await assertProcessKeeps(world, device, async () => {
    await san.cutPortal(portal)
    await waitForDeadDisks()
  })
  await detachInTime(world)
  assert.deepEqual((await world.snapshot()).disks, [])
  await san.restorePortal(portal)
  // iscsid still has to end the session whose portal did not answer.
  const isClean = async (): Promise<boolean> => leftovers(await world.snapshot()).length === 0
  await until('a clean host', isClean, { timeoutMs: 60_000, everyMs: 500 }).catch(() => {}) // the next line says more
  await world.expectClean()
}

async function hungFileSystem(world: World): Promise<void> {
  await using _conf = await refuseAllDisks()
  const { device } = await attachPlainDisk(world)
  await using _hung = await mountHung()
  await assertProcessKeeps(world, device, async () => {})
  await detachInTime(world)
  await world.expectClean()
}

async function readOnlyLun(world: World): Promise<void> {
  await installScript()
  await presentLuns(world, 0)
  await protectTarget(target)
  const placed = Buffer.alloc(8192, 'placed on the array ')
  await world.san.writeVolume('v0', MIB, placed)
  const lun = await attach(world)
  assert.equal(readText(`/sys/block/${lun.map?.dm}/ro`), '1', 'the kernel says that the map is read-only')
  assert.equal(lun.isReadOnly, true)
  await lun.detach()
  await world.expectClean()
  await using disk = await createOwnDisk(world)
  const line = diskLine(world, 'xvda', 0)
  const { exitCode, text } = await disk.attach(line)
  assert.notEqual(exitCode, 0, 'a guest that is to write does not get it')
  assert.match(text, /read-only|write.protect|cannot be written/i)
  assert.equal(await disk.key('physical-device'), undefined)
  await detachDisk(disk)
  await world.expectClean()
  await attachDisk(disk, line.replace('access=rw', 'access=ro'))
  assert.equal(await disk.key('mode'), 'r')
  assert.deepEqual(Buffer.from(await world.readDevice(await disk.device(), MIB, placed.length)), placed)
  await detachDisk(disk)
  await world.expectClean()
}

async function grownBetween(world: World): Promise<void> {
  const { san, host } = world
  await installScript()
  await presentLuns(world, 0)
  await using disk = await createOwnDisk(world)
  const request = { target, portals: san.portals, paths: { graceMs: 10_000 } }
  const warm = await prewarm(request, { host, owner: 'migration', ttlMs: 600_000, timeoutMs: 90_000 })
  assert.equal(warm.sizeBytes, 64 * MIB)
  await san.resizeVolume('v0', 128)
  await attachDisk(disk, diskLine(world, 'xvda', 0))
  const node = await disk.device()
  const { maps, disks } = await world.snapshot()
  assert.deepEqual(
    [...maps, ...disks].map(({ sizeBytes }) => sizeBytes),
    Array(3).fill(128 * MIB)
  )
  const sectors = String((128 * MIB) / SECTOR_BYTES)
  assert.deepEqual(
    [await disk.key('sectors'), readText(`/sys/block/${node.slice('/dev/'.length)}/size`)],
    [sectors, sectors]
  )
  await detachDisk(disk)
  await world.expectClean()
}

const usual = { isLong: true, timeoutMs: 300_000 } as const

export const conditionScenarios: readonly Scenario<World>[] = [
  {
    name: 'dead-plain-disk',
    about: 'The only path of a plain disk is dead: detach ends in time, and refuses while a process has the disk',
    onlyOnDom0: 'it takes a kernel that gives up a disk',
    ...usual,
    run: deadPlainDisk,
  },
  {
    name: 'hung-file-system',
    about: 'A file system of dom0 hangs, with a file open: detach still finds who has the disk, and ends in time',
    onlyOnDom0: 'it takes a file system that hangs',
    ...usual,
    run: hungFileSystem,
  },
  {
    name: 'read-only-lun',
    about: 'The array lets nobody write: an attach says so, and a guest gets the disk only to read',
    onlyOnDom0: 'it takes xl',
    ...usual,
    run: readOnlyLun,
  },
  {
    name: 'grown-between',
    about: 'The volume grows after the prewarm: the guest gets a disk of the new size',
    onlyOnDom0: 'it takes xl',
    ...usual,
    run: grownBetween,
  },
]
