import assert from 'node:assert/strict'
import { open, readFile } from 'node:fs/promises'
import { type Attachment, type AttachRequest, attachLun, type LunOptions } from 'xen-lun'
import type { Volume } from '../world/volumes.ts'
import type { World } from '../world/world.ts'

export const target = 'iqn.2001-05.com.equallogic:0-8a0906-lab'

/** A volume named `v<lun>` behind each LUN of one target. */
export async function presentLuns({ san }: World, ...luns: readonly number[]): Promise<ReadonlyMap<number, Volume>> {
  const volumes = new Map<number, Volume>()
  for (const lun of luns) volumes.set(lun, await san.addVolume({ name: `v${lun}`, sizeMiB: 64 }))
  await san.addTarget({ iqn: target, luns: Object.fromEntries(luns.map(lun => [lun, `v${lun}`])) })
  return volumes
}

/** An emulated host is slow, and slower still where it shares its processors. */
const TIMEOUT_MS = 90_000
const GRACE_MS = 10_000

export async function attach(
  { san }: World,
  request: Partial<AttachRequest> = {},
  options: LunOptions = {}
): Promise<Attachment> {
  const patient = { target, portals: san.portals, paths: { graceMs: GRACE_MS } }
  return await attachLun({ ...patient, ...request }, { timeoutMs: TIMEOUT_MS, ...options })
}

let healthy: number | undefined

/** Remembers how long an attach over two portals took that both answer, on a host where it has been done before. */
export function noteHealthy(tookMs: number): void {
  healthy = tookMs
}

/** That duration; measured now if no scenario has done so. */
export async function healthyMs(world: World): Promise<number> {
  if (healthy !== undefined) return healthy
  await presentLuns(world, 0)
  await (await attach(world)).detach()
  const { result, tookMs } = await timed(async () => await attach(world))
  await result.detach()
  await world.san.reset()
  noteHealthy(tookMs)
  return tookMs
}

/** Runs `action` and says how long it took. */
export async function timed<T>(action: () => Promise<T>): Promise<{ readonly result: T; readonly tookMs: number }> {
  const startedMs = performance.now()
  const result = await action()
  return { result, tookMs: performance.now() - startedMs }
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
export async function assertSameData({ san }: World, { device }: Attachment, volume: string): Promise<void> {
  const written = Buffer.alloc(8192, `written through ${device} `)
  const file = await open(device, 'r+')
  try {
    await file.write(written, 0, written.length, 1 << 20)
    await file.sync()
  } finally {
    await file.close()
  }
  assert.deepEqual(await san.readVolume(volume, 1 << 20, written.length), written)
  const placed = Buffer.alloc(8192, `placed behind ${volume} `)
  await san.writeVolume(volume, 2 << 20, placed)
  const reader = await open(device, 'r')
  try {
    const { buffer } = await reader.read(Buffer.alloc(placed.length), 0, placed.length, 2 << 20)
    assert.deepEqual(buffer, placed)
  } finally {
    await reader.close()
  }
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
  const number = (await readFile(`/sys/block/${map?.dm}/dev`, 'utf8')).trim()
  assert.equal(number, `${deviceNumber.major}:${deviceNumber.minor}`)
  for (const record of state.records) {
    const text = await readFile(record, 'utf8')
    assert.match(text, /^node\.startup = manual$/m)
    assert.match(text, /^node\.session\.scan = manual$/m)
  }
}
