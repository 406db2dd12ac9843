import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { type Attachment, detachLun, isLunError } from 'xen-lun'
import { attach, presentLuns, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { installScript } from '../world/install.ts'
import { configureMultipath } from '../world/multipath-conf.ts'
import { createOwnDisk, type OwnDisk } from '../world/own-disk.ts'
import { waitForReadyPaths } from '../world/paths.ts'
import { tryRun } from '../world/run.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { assertWrites, attachDisk, detachDisk, ownBackend } from './own-guest.ts'
import { address, assertRefused } from './uses.ts'

const DETACH_MS = 90_000

/** How a guest gets a path of the LUN for its disk, and what is left to do when the disk is gone. */
interface Way {
  readonly owner: (disk: OwnDisk) => string
  begin(world: World, disk: OwnDisk): Promise<void>
  finish(world: World): Promise<void>
}

const ways: Readonly<Record<string, Way>> = {
  'the block script': {
    owner: ({ backend }) => backend,
    begin: async ({ san }, disk) => {
      const request = `iqn=${target},portal=${san.portals[0]},lun=0,multipath=n`
      await attachDisk(disk, `vdev=xvda,access=rw,script=block-xen-lun,target=${request}`)
    },
    finish: async () => {},
  },
  'phy:': {
    owner: () => 'default',
    begin: async (world, disk) => {
      const { device } = await attach(world, { portals: [world.san.portals[0]], multipath: 'never' })
      await attachDisk(disk, `phy:${device},xvda,w`)
    },
    finish: async ({ host }) => {
      assert.equal((await detachLun(address, { host, timeoutMs: DETACH_MS })).outcome, 'detached')
    },
  },
}

/** Another owner who wants a map gets none over the guest's disk: an error, or that very disk. */
async function assertNoMapForAnother(world: World, path: string): Promise<void> {
  const before = await world.snapshot()
  const answer = await attach(world, {}, { owner: 'another' }).catch((error: unknown) => error)
  if (isLunError(answer)) console.error(`LAB:   another owner: ${answer.message}`)
  else await assertSameDisk(answer as Attachment, path)
  const { maps, disks, vbds } = await world.snapshot()
  assert.deepEqual([maps, disks, vbds], [before.maps, before.disks, before.vbds])
}

async function assertSameDisk(lun: Attachment, path: string): Promise<void> {
  assert.equal(lun.device, path, lun instanceof Error ? lun.stack : undefined)
  await lun.detach()
}

/** Somebody has multipathd make a map of the path. */
async function mapPath(world: World, path: string): Promise<void> {
  // It may have made the map already.
  await tryRun('multipathd', ['add', 'path', basename(path)])
  const isMapped = async (): Promise<boolean> =>
    (await world.snapshot()).maps.some(({ disks }) => disks.includes(basename(path)))
  await until(`a map of ${path}`, isMapped)
  await waitForReadyPaths(1)
}

async function guestOnPath(world: World): Promise<void> {
  await installScript()
  await presentLuns(world, 0)
  await using disk = await createOwnDisk(world)
  for (const [name, way] of Object.entries(ways)) {
    console.error(`LAB: guest-on-path: ${name}`)
    // One path of an unknown disk is none of multipathd's business then, as by its defaults.
    await using conf = await configureMultipath('defaults {\n  find_multipaths yes\n}\n')
    await way.begin(world, disk)
    const [served] = (await world.snapshot()).disks
    const path = `/dev/${served?.name}`
    await assertWrites(world, disk, `${name}: on a path`)
    await assertNoMapForAnother(world, path)
    await assertRefused(world, [ownBackend], { owner: way.owner(disk) })
    await conf.end()
    await mapPath(world, path)
    await assertRefused(world, [ownBackend], { owner: way.owner(disk) })
    await assertWrites(world, disk, `${name}: on the path of a map`)
    await detachDisk(disk)
    await way.finish(world)
    await world.expectClean()
  }
}

export const guestOnPathScenarios: readonly Scenario<World>[] = [
  {
    name: 'guest-on-path',
    about: 'A guest has one path for its disk: nobody gets a map over it, and if multipathd makes one, the disk stays',
    onlyOnDom0: 'it takes xl and blkback',
    isLong: true,
    timeoutMs: 400_000,
    run: guestOnPath,
  },
]
