import assert from 'node:assert/strict'
import { type Attachment, type AttachRequest, attachLun, type LunOptions } from 'xen-lun'
import type { PresentedVolume } from 'xen-lun/testing'
import type { World } from './world.ts'

export const target = 'iqn.2001-05.com.equallogic:0-8a0906-lab'

/** A volume named `v<lun>` behind each LUN of one target. */
export async function presentLuns(
  { san }: World,
  ...luns: readonly number[]
): Promise<ReadonlyMap<number, PresentedVolume>> {
  const volumes = new Map<number, PresentedVolume>()
  for (const lun of luns) volumes.set(lun, await san.addVolume({ name: `v${lun}`, sizeMiB: 64 }))
  await san.addTarget({ iqn: target, luns: Object.fromEntries(luns.map(lun => [lun, `v${lun}`])) })
  return volumes
}

/** An emulated host is slow, and slower still where it shares its processors. */
const TIMEOUT_MS = 90_000
const GRACE_MS = 10_000

export async function attach(
  { san, host }: World,
  request: Partial<AttachRequest> = {},
  options: LunOptions = {}
): Promise<Attachment> {
  const patient = { target, portals: san.portals, paths: { graceMs: GRACE_MS } }
  return await attachLun({ ...patient, ...request }, { host, timeoutMs: TIMEOUT_MS, ...options })
}

const healthy = new WeakMap<World, number>()

/** Remembers how long an attach over two portals took that both answer, on a host where it has been done before. */
export function noteHealthy(world: World, tookMs: number): void {
  healthy.set(world, tookMs)
}

/** That duration; measured now if no scenario has done so. */
export async function healthyMs(world: World): Promise<number> {
  const known = healthy.get(world)
  if (known !== undefined) return known
  await presentLuns(world, 0)
  await (await attach(world)).detach()
  const { result, tookMs } = await timed(world, async () => await attach(world))
  await result.detach()
  await world.san.reset()
  noteHealthy(world, tookMs)
  return tookMs
}

/** Runs `action` and says how long it took. */
export async function timed<T>(
  { host }: World,
  action: () => Promise<T>
): Promise<{ readonly result: T; readonly tookMs: number }> {
  const startedMs = host.clock.now()
  const result = await action()
  return { result, tookMs: host.clock.now() - startedMs }
}

/** The error `action` rejects with; it must. */
export async function rejection(action: () => Promise<unknown>): Promise<Error & { readonly code?: unknown }> {
  try {
    await action()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new assert.AssertionError({ message: 'it did not fail' })
}

/** Writes through the device and reads behind iSCSI, then the other way round. */
export async function assertSameData(world: World, { device }: Attachment, volume: string): Promise<void> {
  const written = Buffer.alloc(8192, `written through ${device} `)
  await world.writeDevice(device, 1 << 20, written)
  assert.deepEqual(Buffer.from(await world.san.readVolume(volume, 1 << 20, written.length)), written)
  const placed = Buffer.alloc(8192, `placed behind ${volume} `)
  await world.san.writeVolume(volume, 2 << 20, placed)
  assert.deepEqual(Buffer.from(await world.readDevice(device, 2 << 20, placed.length)), placed)
}

/** Reads a file of the host; it must be there. */
export async function textOf({ host }: World, path: string): Promise<string> {
  const text = await host.files.read(path)
  assert.ok(text !== undefined, `${path} is not there`)
  return text
}

/** Kernel, multipathd and node database agree that a LUN is attached over `paths` paths, and how. */
export async function assertAttached(
  world: World,
  { lun, wwid, map, deviceNumber, device }: Attachment,
  paths: number
): Promise<void> {
  const state = await world.snapshot()
  const disks = state.disks.filter(disk => disk.lun === lun && disk.wwid === wwid)
  assert.equal(disks.length, paths, 'disks of the LUN')
  assert.deepEqual(new Set(disks.map(disk => disk.state)), new Set(['running']))
  const sids = new Set(disks.map(({ sessionId }) => sessionId))
  assert.equal(sids.size, paths, 'sessions with the LUN')
  assert.ok(state.sessions.filter(({ id }) => sids.has(id)).every(session => session.state === 'LOGGED_IN'))
  const kernelMap = state.maps.find(({ uuid }) => uuid === `mpath-${wwid}`)
  assert.equal(kernelMap?.name, map?.name)
  assert.deepEqual(kernelMap?.disks.toSorted(), disks.map(({ name }) => name).toSorted(), 'disks in the map')
  const watched = state.watched?.find(known => known.wwid === wwid)?.paths ?? []
  assert.deepEqual(
    watched.map(({ dmState, checker }) => `${dmState} ${checker}`),
    Array(paths).fill('active ready')
  )
  assert.ok(state.wwids.includes(wwid ?? ''), 'wwids entry')
  assert.equal(device, `/dev/mapper/${map?.name}`)
  const number = (await textOf(world, `/sys/block/${map?.dm}/dev`)).trim()
  assert.equal(number, `${deviceNumber.major}:${deviceNumber.minor}`)
  for (const record of state.records) {
    const text = await textOf(world, record)
    assert.match(text, /^node\.startup = manual$/m)
    assert.match(text, /^node\.session\.scan = manual$/m)
  }
}
