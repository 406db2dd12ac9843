import { type BlockDevice, readBlockDevice } from '../../block/block-device.ts'
import { isLunError, LunError } from '../../core/error.ts'
import { until } from '../../flow/until.ts'
import type { Context } from '../context.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { Operation } from '../operation.ts'
import { assertUnused } from './in-use.ts'
import { mismatch } from './lun-identity.ts'
import type { ProvenDevice, ProvenPath } from './proof.ts'
import type { VolumeDevices } from './users.ts'

/** How long a map may take to have the size of its paths. */
const RESIZE_MS = 5000
const LOOK_MS = 200
/** For what closes the map by itself, as udev does. */
const BUSY_MS = 1000

/**
 * What the paths that answer say of the LUN's size; undefined where none of them knows.
 *
 * @throws {@link LunError} `LUN_MISMATCH` when they disagree
 */
export function sizeOfPaths(place: LunPlace, paths: readonly ProvenPath[]): number | undefined {
  const [first, ...others] = paths.filter(({ isLive, sizeBytes }) => isLive && sizeBytes > 0)
  for (const { disk, sizeBytes } of others) {
    if (sizeBytes !== first?.sizeBytes) throw sizeMismatch(place, disk, first?.sizeBytes ?? 0, sizeBytes)
  }
  return first?.sizeBytes
}

/**
 * The device, whole: as large as the paths below it, which have just been asked. A map that is smaller, since the LUN has
 * grown on another host meanwhile, grows, but not under somebody who has it open.
 *
 * @throws {@link LunError} `LUN_MISMATCH`
 */
export async function makeWhole(
  context: Context,
  operation: Operation,
  { device, paths }: ProvenDevice,
  volume: VolumeDevices
): Promise<BlockDevice> {
  const sizeBytes = sizeOfPaths(operation, paths)
  if (sizeBytes === undefined || device.sizeBytes === sizeBytes) return device
  const name = device.dm?.name ?? device.name
  const different = sizeMismatch(operation, name, sizeBytes, device.sizeBytes)
  if (device.dm === undefined || device.sizeBytes > sizeBytes) throw different
  try {
    await assertUnused(context, operation, volume, { busyMs: BUSY_MS, isNew: true })
  } catch (error) {
    if (!isLunError(error, 'LUN_IN_USE')) throw error
    const message = `${different.message}: it has grown while in use, so resize it first; ${error.message}`
    throw new LunError('LUN_MISMATCH', message, different.details, { cause: error })
  }
  const whole = await resizeMap(context, operation, device, sizeBytes, RESIZE_MS)
  const message = `map ${name} has grown from ${device.sizeBytes} to ${sizeBytes} bytes, as the LUN has`
  operation.emit({ type: 'warning', message })
  return whole
}

/**
 * Has multipathd give a map the size of its paths, of each of them: those through another target, and those that do not
 * work, may have another size still.
 *
 * @throws {@link LunError} `LUN_MISMATCH` naming such a path, `TIMEOUT`, `MULTIPATHD_REFUSED`
 */
export async function resizeMap(
  { host, multipath }: Context,
  { target, lun, signal }: LunPlace & Pick<Operation, 'signal'>,
  { name: dm, dm: map, slaves }: BlockDevice,
  sizeBytes: number,
  timeoutMs: number
): Promise<BlockDevice> {
  const name = map?.name ?? dm
  for (const slave of slaves) {
    const found = (await readBlockDevice(host.files, slave))?.sizeBytes ?? 0
    if (found !== 0 && found !== sizeBytes) throw sizeMismatch({ target, lun }, slave, sizeBytes, found)
  }
  // multipathd answers "ok" even when it changed nothing, so only the map's own size counts.
  const look = async (): Promise<BlockDevice | undefined> => {
    await multipath.resize(name, { signal })
    const now = await readBlockDevice(host.files, dm)
    return now?.sizeBytes === sizeBytes ? now : undefined
  }
  const awaited = `map ${name} to have ${sizeBytes} bytes`
  return await until(host.clock, look, { awaited, timeoutMs, everyMs: LOOK_MS, signal })
}

function sizeMismatch(place: LunPlace, device: string, expected: number, found: number): LunError<'LUN_MISMATCH'> {
  return mismatch(place, device, 'size', String(expected), String(found))
}
