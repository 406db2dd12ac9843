import { readBlockDevice } from '../block/block-device.ts'
import { LunError } from '../core/error.ts'
import type { FailedStep } from '../core/error-details.ts'
import { formatHctl } from '../core/hctl.ts'
import { checkOptions } from '../core/options.ts'
import { until } from '../flow/until.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import type { LunPlace } from './journal/journal.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, type Operation, runOnLun } from './operation.ts'
import { checkAddress, type LunAddress } from './request.ts'
import { findLun, type LunDevice } from './volume/find-lun.ts'
import { proveDevice } from './volume/proof.ts'
import { resizeMap } from './volume/size.ts'

/** What became of a LUN's size. */
export interface Resized {
  readonly outcome: 'resized' | 'unchanged'
  readonly sizeBytes: number
  readonly previousBytes: number
}

/** Options of {@link resizeLun}. */
export interface ResizeOptions extends LunOptions {
  /** Takes over a smaller size, too: what lies beyond it is lost to whoever uses the LUN. Default false. */
  readonly allowShrink?: boolean | undefined
}

/** Sizes arrive by an event of the kernel's after the rescan; paths of one LUN agree within moments. */
const AGREE_MS = 5000
const LOOK_MS = 50

/**
 * Takes over the size the array now gives an attached LUN, on every path and on the map, while it is in use.
 * A Xen guest sees the new size by itself. Refuses while a path does not work, because a map follows its smallest path;
 * a volume that is another one than was attached; and, unless `allowShrink` says so, one that has become smaller. A disk
 * without a map has the smaller size all the same once it has been asked, by whomever: the kernel takes it over at once.
 *
 * @throws {@link LunError} `LUN_NOT_FOUND` when it is not attached, `NO_PATHS` naming the paths that do not work,
 * `LUN_MISMATCH` for another volume, or naming a path whose size is another one still, as one of another target's may be;
 * `LUN_SHRUNK` with both sizes, `TIMEOUT` when paths or map do not take the size over, `MULTIPATHD_REFUSED`,
 * `INVALID_INPUT`
 * @example
 * ```ts
 * import { resizeLun } from 'xen-lun'
 *
 * const { outcome, sizeBytes } = await resizeLun({ target: 'iqn.2001-05.com.example:vm1' })
 * ```
 */
export async function resizeLun(address: LunAddress, options: ResizeOptions = {}): Promise<Resized> {
  const place = checkAddress(address)
  const { timeoutMs = OPERATION_TIMEOUT_MS, allowShrink = false } = checkOptions(options)
  const context = createContext(options.host ?? createLocalHost())
  return await runOnLun(
    context.host,
    { operation: 'resize', ...place },
    options,
    async operation => await resizeLocked(context, operation, { timeoutMs, allowShrink })
  )
}

async function resizeLocked(
  context: Context,
  operation: Operation,
  { timeoutMs, allowShrink }: { readonly timeoutMs: number; readonly allowShrink: boolean }
): Promise<Resized> {
  const { target, lun, signal } = operation
  const entry = await context.journal.lun(operation)
  const { map, disks, devices, wwid } = await findLun(context, operation, entry)
  const block = map === undefined ? disks[0] : await readBlockDevice(context.host.files, map.dm)
  if (block === undefined || devices.length === 0) {
    throw new LunError('LUN_NOT_FOUND', `LUN ${lun} of ${target} is not attached`, { target, lun, hctls: [] })
  }
  const previousBytes = block.sizeBytes
  await operation.step('rescan', async () => {
    await assertRunning(context, operation, devices)
    const { paths } = await proveDevice(context, operation, block, entry?.wwid ?? wwid, devices)
    const silent = paths.filter(({ isLive }) => !isLive).map(({ disk }) => ({ step: disk, message: 'does not answer' }))
    if (silent.length > 0) throw notEveryPath(operation, silent)
  })
  const awaited = `the paths of LUN ${lun} of ${target} to agree on a size`
  const sizeBytes = await until(context.host.clock, async () => await agreedSize(context, devices), {
    awaited,
    timeoutMs: AGREE_MS,
    everyMs: LOOK_MS,
    signal,
  })
  if (sizeBytes < previousBytes && !allowShrink) throw shrunk(operation, map !== undefined, sizeBytes, previousBytes)
  if (map !== undefined && sizeBytes !== previousBytes) {
    await operation.step('resize', async () => await resizeMap(context, operation, block, sizeBytes, timeoutMs))
  }
  return { outcome: sizeBytes === previousBytes ? 'unchanged' : 'resized', sizeBytes, previousBytes }
}

/** Nobody is asked whose answer would be waited for. */
async function assertRunning({ scsi }: Context, place: LunPlace, devices: readonly LunDevice[]): Promise<void> {
  const states = await Promise.all(devices.map(async ({ hctl }) => ({ hctl, state: await scsi.state(hctl) })))
  const down = states.filter(({ state }) => state !== 'running')
  const failures = down.map(({ hctl, state }) => ({ step: formatHctl(hctl), message: `state is ${state ?? 'gone'}` }))
  if (failures.length > 0) throw notEveryPath(place, failures)
}

function notEveryPath({ target, lun }: LunPlace, failures: readonly FailedStep[]): LunError<'NO_PATHS'> {
  const names = failures.map(({ step, message }) => `${step} ${message}`).join(', ')
  return new LunError('NO_PATHS', `not every path to LUN ${lun} of ${target} works: ${names}`, {
    target,
    lun,
    failures,
  })
}

function shrunk(
  { target, lun }: LunPlace,
  isMapped: boolean,
  sizeBytes: number,
  previousBytes: number
): LunError<'LUN_SHRUNK'> {
  const sizes = `it has ${sizeBytes} bytes on the array, and ${isMapped ? '' : 'had '}${previousBytes} here`
  const advice = isMapped
    ? 'only allowShrink takes that over'
    : 'a disk without a map takes that over as soon as it is asked'
  const message = `LUN ${lun} of ${target} has become smaller: ${sizes}; ${advice}`
  return new LunError('LUN_SHRUNK', message, { target, lun, sizeBytes, previousBytes })
}

/** A path in standby does not say. */
async function agreedSize({ host }: Context, devices: readonly LunDevice[]): Promise<number | undefined> {
  const disks = await Promise.all(
    devices.map(async ({ disk }) => (disk === undefined ? undefined : await readBlockDevice(host.files, disk)))
  )
  if (disks.includes(undefined)) return undefined
  const sizes = new Set(disks.map(disk => disk?.sizeBytes).filter(size => size !== 0))
  return sizes.size === 1 ? [...sizes][0] : undefined
}
