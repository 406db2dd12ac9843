import assert from 'node:assert/strict'
import { type Attachment, detachLun, isLunError } from 'xen-lun'
import { assertAttached, attach, presentLuns, rejection, timed } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { startCommand } from '../world/children.ts'
import { readText } from '../world/files.ts'
import { waitForFailedPaths } from '../world/paths.ts'
import { run } from '../world/run.ts'
import { leftovers } from '../world/state.ts'
import { until, within } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { address, assertRefused, type UseName, whileUsed } from './uses.ts'

const MIB = 1 << 20
const DETACH_MS = 90_000

const common = ['ext4 mounted', 'LVM', 'process'] as const satisfies readonly UseName[]

async function busy(world: World): Promise<void> {
  const { host } = world
  await presentLuns(world, 0)
  const lun = await attach(world)
  const refusals: { readonly name: string; readonly tookMs: number }[] = []
  for (const name of common) {
    const tookMs = await whileUsed(name, lun.device, async names => await assertRefused(world, names))
    await assertAttached(world, lun, 2)
    refusals.push({ name, tookMs })
  }
  const detached = await timed(world, async () => await detachLun(address, { host, timeoutMs: DETACH_MS }))
  assert.equal(detached.result.outcome, 'detached')
  assert.equal(detached.result.writes, 'written')
  await world.expectClean()
  for (const { name, tookMs } of refusals) {
    console.error(`LAB: busy: ${name}: refused after ${tookMs.toFixed(0)} ms`)
    assert.ok(tookMs < detached.tookMs, `refusing for ${name} took ${tookMs} ms, detaching ${detached.tookMs} ms`)
  }
}

async function deadPaths(world: World): Promise<void> {
  const { san } = world
  await presentLuns(world, 0)
  const lun = await attach(world)
  const old = Buffer.alloc(4096, 'written while the paths worked ')
  await world.writeDevice(lun.device, MIB, old)
  // As maps of many arrays are set up. multipathd leaves it so, having no setting for this one.
  await run('dmsetup', ['message', lun.map?.name ?? '', '0', 'queue_if_no_path'])
  for (const portal of san.portals) await san.cutPortal(portal)
  await waitForFailedPaths(2)
  await assertWriteGivenUp(world, lun)
  assert.deepEqual(Buffer.from(await san.readVolume('v0', MIB, old.length)), old)
  for (const portal of san.portals) await san.restorePortal(portal)
  // iscsid still has to end the sessions whose portals did not answer.
  const isClean = async (): Promise<boolean> => leftovers(await world.snapshot()).length === 0
  await until('a clean host', isClean, { timeoutMs: 60_000, everyMs: 500 }).catch(() => {}) // the next line says more
  await world.expectClean()
}

/** A write that waits for a path keeps the LUN from being detached, unless by force, and then fails. */
async function assertWriteGivenUp({ host }: World, { device }: Attachment): Promise<void> {
  const write = ['if=/dev/zero', `of=${device}`, 'bs=4096', 'count=1', 'seek=256', 'oflag=direct', 'conv=notrunc']
  await using dd = await startCommand('dd', write)
  const isWaiting = (): boolean => /\) D /.test(readText(`/proc/${dd.pid}/stat`))
  await until('dd to wait for the disk', isWaiting)
  const refused = await rejection(async () => await detachLun(address, { host, busyMs: 300, timeoutMs: DETACH_MS }))
  assert.ok(isLunError(refused, 'LUN_IN_USE'), refused.stack)
  assert.ok(
    refused.details.users.some(({ kind, name }) => kind === 'process' && name === `${dd.pid} dd`),
    refused.message
  )
  assert.match(refused.message, /force/)
  assert.ok(isWaiting(), 'dd goes on waiting')
  const forced = await detachLun(address, { host, force: true, timeoutMs: DETACH_MS })
  assert.deepEqual([forced.outcome, forced.writes], ['detached', 'lost'])
  const { exitCode, signal } = await within('the end of dd', dd.ended)
  assert.deepEqual([exitCode, signal], [1, null], 'dd is told that its write failed')
}

export const safetyScenarios: readonly Scenario<World>[] = [
  {
    name: 'busy',
    about: 'Mounted, below LVM, or open in another process: detach refuses, says by whom, and changes nothing',
    onlyOnDom0: 'it takes mount, LVM and another process',
    isLong: true,
    run: busy,
  },
  {
    name: 'dead-paths',
    about: 'No path works and a write hangs: detach refuses, a forced one fails the write and leaves nothing',
    onlyOnDom0: 'it takes a kernel that queues a write',
    isLong: true,
    timeoutMs: 300_000,
    run: deadPaths,
  },
]
