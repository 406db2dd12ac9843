import assert from 'node:assert/strict'
import { isLunError, type LunEvent, verifyLun } from 'xen-lun'
import { assertAttached, assertSameData, attach, healthyMs, presentLuns, rejection, target, timed } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

async function degraded(world: World, breakPortal: (portal: string) => Promise<void>): Promise<void> {
  const [, broken] = world.san.portals
  const healthy = await healthyMs(world)
  await presentLuns(world, 0)
  await breakPortal(broken)
  const { result: lun, tookMs } = await timed(
    world,
    async () => await attach(world, { loginTimeoutMs: 4000, paths: {} })
  )
  assert.ok(tookMs < 1.5 * healthy, `degraded attach took ${tookMs} ms, healthy ${healthy} ms`)
  assert.equal(lun.isDegraded, true)
  assert.deepEqual(
    lun.paths.map(path => path.state === 'up'),
    [true, false]
  )
  await assertAttached(world, lun, 1)
  await assertSameData(world, lun, 'v0')
  await world.san.restorePortal(broken)
  const all = await lun.allPaths()
  assert.deepEqual(
    all.map(path => path.state),
    ['up', 'up']
  )
  await assertAttached(world, lun, 2)
  await lun.detach()
  await world.expectClean()
}

async function degradedDetach(world: World): Promise<void> {
  const [, broken] = world.san.portals
  await presentLuns(world, 0)
  await world.san.cutPortal(broken)
  const lun = await attach(world, { loginTimeoutMs: 4000, paths: {} })
  assert.equal(lun.isDegraded, true)
  // The login to the dead portal is still on its way; detaching waits for its end and leaves nothing.
  await lun.detach()
  await world.expectClean()
}

async function failsFast(
  world: World,
  action: () => Promise<unknown>,
  healthy: number
): Promise<Error & { readonly code?: unknown }> {
  const { result: error, tookMs } = await timed(world, async () => await rejection(action))
  await world.expectClean()
  assert.ok(tookMs < healthy + 5000, `failing took ${tookMs} ms, a healthy attach ${healthy} ms`)
  return error
}

async function unknownTarget(world: World): Promise<void> {
  const healthy = await healthyMs(world)
  await presentLuns(world, 0)
  const unknown = `${target}-unknown`
  const error = await failsFast(world, async () => await attach(world, { target: unknown }), healthy)
  assert.equal(error.code, 'ISCSI_LOGIN_REJECTED')
  assert.match(error.message, /iqn\.2001-05\.com\.equallogic:0-8a0906-lab-unknown/)
}

async function absentLun(world: World): Promise<void> {
  const healthy = await healthyMs(world)
  await presentLuns(world, 0)
  const error = await failsFast(world, async () => await attach(world, { lun: 7 }), healthy)
  assert.ok(isLunError(error, 'LUN_NOT_FOUND'))
  assert.deepEqual([error.details.target, error.details.lun], [target, 7])
}

async function wrongVolume(world: World): Promise<void> {
  const { san } = world
  const expected = (await presentLuns(world, 0)).get(0)?.wwid ?? ''
  const other = await san.addVolume({ name: 'other', sizeMiB: 64 })
  await san.remapLun(target, 0, 'other')
  const error = await rejection(async () => await attach(world, { expected: { wwid: expected } }))
  assert.ok(isLunError(error, 'LUN_MISMATCH'), error.stack)
  assert.deepEqual([error.details.expected, error.details.found], [expected, other.wwid])
  await world.expectClean()
}

async function swapped(world: World): Promise<void> {
  const { san, host } = world
  const address = { target, lun: 0 }
  const first = (await presentLuns(world, 0)).get(0)?.wwid ?? ''
  const other = await san.addVolume({ name: 'other', sizeMiB: 64 })
  const lun = await attach(world)
  await verifyLun(address, { host })
  await san.remapLun(target, 0, 'other')
  const refusal = async (action: () => Promise<unknown>): Promise<readonly [expected: string, found: string]> => {
    const error = await rejection(action)
    assert.ok(isLunError(error, 'LUN_MISMATCH'), error.stack)
    for (const wwid of [first, other.wwid]) assert.ok(error.message.includes(wwid), error.message)
    return [error.details.expected, error.details.found]
  }
  assert.deepEqual(await refusal(async () => await verifyLun(address, { host })), [first, other.wwid])
  // Nothing was expected here: it is the map that does not fit the disks, or they it.
  const both = await refusal(async () => await attach(world))
  assert.deepEqual(both.toSorted(), [first, other.wwid].toSorted())
  // Whoever has the device goes on having it: its map is not ours to pull away.
  const { maps, sessions } = await world.snapshot()
  assert.ok(maps.some(({ uuid }) => uuid === `mpath-${first}`))
  assert.equal(sessions.length, 2)
  assert.equal((await lun.detach()).outcome, 'detached')
  await world.expectClean()
  const again = await refusal(async () => await attach(world, { expected: { wwid: first } }))
  assert.deepEqual(again, [first, other.wwid])
  await world.expectClean()
  const fresh = await attach(world)
  assert.equal(fresh.wwid, other.wwid)
  await assertAttached(world, fresh, 2)
  await assertSameData(world, fresh, 'other')
  await verifyLun({ ...address, expected: { wwid: other.wwid } }, { host })
  await fresh.detach()
  await world.expectClean()
}

// A login on its way, a device scanned in, everything done.
const moments: readonly ((event: LunEvent) => boolean)[] = [
  event => event.type === 'end' && event.step === 'login',
  event => event.type === 'path' && event.path.hctl !== undefined,
  event => event.type === 'end' && event.step === 'device',
]

async function aborted(world: World): Promise<void> {
  await presentLuns(world, 0)
  for (const [n, isMoment] of moments.entries()) {
    const stop = new AbortController()
    const reason = new Error(`stopped at moment ${n}`)
    const onEvent = (event: LunEvent): void => {
      if (isMoment(event)) stop.abort(reason)
    }
    assert.equal(await rejection(async () => await attach(world, {}, { signal: stop.signal, onEvent })), reason)
    await world.expectClean()
  }
}

async function withoutMultipathd(world: World): Promise<void> {
  const { multipathd } = world.daemons
  await presentLuns(world, 0)
  await multipathd.stop()
  const error = await rejection(async () => await attach(world))
  assert.ok(isLunError(error, 'MULTIPATHD_NOT_RUNNING'), error.stack)
  await world.expectClean()
  const warnings: string[] = []
  const lun = await attach(
    world,
    { multipath: 'preferred' },
    { onEvent: event => (event.type === 'warning' ? warnings.push(event.message) : undefined) }
  )
  assert.match(lun.device, /^\/dev\/sd[a-z]$/)
  assert.deepEqual([lun.map, lun.paths.length, warnings.length], [undefined, 1, 1])
  await assertSameData(world, lun, 'v0')
  await lun.detach()
  await multipathd.start()
  await world.expectClean()
}

export const faultScenarios: readonly Scenario[] = [
  {
    name: 'portal-black-holed',
    about: 'One portal swallows packets: degraded within 1.5 times the healthy attach, the path joins later',
    run: async world => await degraded(world, async portal => await world.san.cutPortal(portal)),
  },
  {
    name: 'portal-refusing',
    about: 'One portal refuses connections: degraded within 1.5 times the healthy attach, the path joins later',
    run: async world => await degraded(world, async portal => await world.san.refusePortal(portal)),
  },
  {
    name: 'detach-degraded',
    about: 'Detach while the login to a dead portal is still on its way',
    run: degradedDetach,
  },
  { name: 'target-unknown', about: 'A target nobody knows: named, within 5 s, nothing left', run: unknownTarget },
  { name: 'lun-absent', about: 'A LUN that is not there: named, within 5 s, nothing left', run: absentLun },
  { name: 'lun-mismatch', about: 'A LUN that now is another volume is refused, naming both', run: wrongVolume },
  {
    name: 'lun-swapped',
    about: 'A LUN becomes another volume while it is attached: checks and attaches refuse it, naming both',
    isLong: true,
    timeoutMs: 240_000,
    run: swapped,
  },
  {
    name: 'attach-aborted',
    about: 'Aborted at three moments: rejects with the reason, leaves nothing',
    timeoutMs: 240_000,
    run: aborted,
  },
  {
    name: 'multipathd-down',
    about: 'Without multipathd: an error at once, or one plain path where that will do',
    run: withoutMultipathd,
  },
]
