import assert from 'node:assert/strict'
import { cooldown, detachLun, prewarm, releaseExpired } from 'xen-lun'
import { assertAttached, attach, presentLuns, target, timed } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

/** Of a guest, as the block script names it. No such domain runs. */
const backend = 'backend/vbd/77/51712'
const owner = 'migration'
const LONG_MS = 600_000
const SHORT_MS = 2000

/** What costs a login, a logout or a scan. */
const costly = (executed: readonly string[]): readonly string[] =>
  executed.filter(name => name === 'iscsiadm' || name === 'multipath')

async function prewarmed(world: World): Promise<void> {
  const { host, san } = world
  await presentLuns(world, 0)
  const request = { target, portals: san.portals, paths: { graceMs: 10_000 } }
  const patient = { host, timeoutMs: 90_000 }
  const warm = async (ttlMs: number): ReturnType<typeof prewarm> => await prewarm(request, { ...patient, owner, ttlMs })
  const ready = await timed(world, async () => await warm(LONG_MS))
  assert.equal(ready.result.outcome, 'attached')
  await assertAttached(world, ready.result, 2)
  const before = await world.snapshot()
  const added = await timed(
    world,
    async () => await world.traceProcesses(async () => await attach(world, {}, { owner: backend }))
  )
  const { result: lun, executed } = added.result
  assert.deepEqual([lun.outcome, lun.device, costly(executed)], ['already-attached', ready.result.device, []])
  assert.deepEqual(await world.snapshot(), before)
  console.log(`prewarm ${Math.round(ready.tookMs)} ms, the guest's attach ${Math.round(added.tookMs)} ms`)
  // The guest's attach ended the hold, so the LUN goes with the guest.
  assert.equal((await cooldown({ target }, { host, owner })).outcome, 'already-detached')
  assert.equal((await lun.detach()).outcome, 'detached')
  await world.expectClean()
  // The guest never comes: somebody says so, or nobody does.
  await warm(LONG_MS)
  assert.equal((await cooldown({ target }, { ...patient, owner })).outcome, 'detached')
  await world.expectClean()
  await warm(SHORT_MS)
  assert.deepEqual(await releaseAll(world), [owner])
  await world.expectClean()
}

/** Waits for the end of every hold, as a process would that is there for nothing else. */
async function releaseAll({ host }: World): Promise<readonly string[]> {
  const owners: string[] = []
  for (;;) {
    const { released, failed, nextInMs } = await releaseExpired({ host })
    assert.deepEqual(failed, [])
    owners.push(...released.map(each => each.owner))
    if (nextInMs === undefined) return owners
    await host.clock.sleep(nextInMs)
  }
}

/** As pygrub makes xl call: add, remove, add; then the guest ends. */
async function lingering(world: World): Promise<void> {
  const { host } = world
  await presentLuns(world, 0)
  const first = await attach(world, {}, { owner: backend })
  await world.writeDevice(first.device, 1 << 20, Buffer.alloc(8192, 'before the guest'))
  const remove = async (lingerMs: number): ReturnType<typeof detachLun> =>
    await detachLun({ target }, { host, owner: backend, timeoutMs: 90_000, lingerMs })
  const removed = await world.traceProcesses(async () => await remove(LONG_MS))
  assert.deepEqual([removed.result.outcome, costly(removed.executed)], ['lingering', []])
  const written = Buffer.from(await world.san.readVolume('v0', 1 << 20, 8192))
  assert.deepEqual(written, Buffer.alloc(8192, 'before the guest'))
  await assertAttached(world, first, 2)
  const again = await world.traceProcesses(async () => await attach(world, {}, { owner: backend }))
  assert.deepEqual([again.result.outcome, costly(again.executed)], ['already-attached', []])
  assert.equal((await remove(SHORT_MS)).outcome, 'lingering')
  assert.deepEqual(await releaseAll(world), [`linger:${backend}`])
  await world.expectClean()
}

export const holdScenarios: readonly Scenario[] = [
  {
    name: 'prewarm',
    about: "A guest's attach of a prewarmed LUN logs in nowhere; what nobody comes for goes by itself",
    run: prewarmed,
  },
  {
    name: 'linger',
    about: 'Add, remove, add and remove with one login, everything written in between; then nothing is left',
    isLong: true,
    run: lingering,
  },
]
