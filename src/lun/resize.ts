import { readBlockDevice } from '../block/block-device.ts'
import { LunError } from '../core/error.ts'
import { formatHctl } from '../core/hctl.ts'
import { checkOptions } from '../core/options.ts'
import { until } from '../flow/until.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, type Operation, runOnLun } from './operation.ts'
import { checkAddress, type LunAddress } from './request.ts'
import { describeLun, findDevices, type LunDescription, type LunDevice } from './volume/find-lun.ts'

/** What became of a LUN's size. */
export interface Resized {
  readonly outcome: 'resized' | 'unchanged'
  readonly sizeBytes: number
  readonly previousBytes: number
}

/** Sizes arrive by an event of the kernel's after the rescan; paths of one LUN agree within moments. */
const AGREE_MS = 5000
const LOOK_MS = 50

/**
 * Takes over the size the array now gives an attached LUN, on every path and on the map, while it is in use.
 * A Xen guest sees the new size by itself. Refuses while a path does not run, because a map follows its smallest path.
 *
 * @throws {@link LunError} `LUN_NOT_FOUND` when it is not attached, `NO_PATHS` naming the paths that do not run,
 * `TIMEOUT` when paths or map do not take the size over, `MULTIPATHD_REFUSED`, `INVALID_INPUT`
 * @example
 * ```ts
 * import { resizeLun } from 'xen-lun'
 *
 * const { outcome, sizeBytes } = await resizeLun({ target: 'iqn.2001-05.com.example:vm1' })
 * ```
 */
export async function resizeLun(address: LunAddress, options: LunOptions = {}): Promise<Resized> {
  const place = checkAddress(address)
  const context = createContext(checkOptions(options).host ?? createLocalHost())
  const timeoutMs = options.timeoutMs ?? OPERATION_TIMEOUT_MS
  return await runOnLun(
    context.host,
    { operation: 'resize', ...place },
    options,
    async operation => await resizeLocked(context, operation, timeoutMs)
  )
}

async function resizeLocked(context: Context, operation: Operation, timeoutMs: number): Promise<Resized> {
  const { target, lun, signal } = operation
  const { files, clock } = context.host
  const devices = await findDevices(context, await context.iscsiadm.sessions({ target }), lun)
  const found = await describeLun(files, devices, undefined)
  if (devices.length === 0) {
    throw new LunError('LUN_NOT_FOUND', `LUN ${lun} of ${target} is not attached`, { target, lun, hctls: [] })
  }
  const previousBytes = await topSize(context, found)
  await operation.step('rescan', async () => await rescanPaths(context, operation, devices))
  const awaited = `the paths of LUN ${lun} of ${target} to agree on a size`
  const sizeBytes = await until(clock, async () => await agreedSize(context, devices), {
    awaited,
    timeoutMs: AGREE_MS,
    everyMs: LOOK_MS,
    signal,
  })
  const { map } = found
  if (map !== undefined && sizeBytes !== previousBytes) {
    await operation.step('resize', async () => {
      // multipathd answers "ok" even when it changed nothing, so only the map's own size counts.
      const look = async (): Promise<boolean> => {
        await context.multipath.resize(map.name, { signal })
        return (await topSize(context, found)) === sizeBytes
      }
      const waiting = { awaited: `map ${map.name} to have ${sizeBytes} bytes`, timeoutMs, everyMs: 4 * LOOK_MS, signal }
      await until(clock, look, waiting)
    })
  }
  return { outcome: sizeBytes === previousBytes ? 'unchanged' : 'resized', sizeBytes, previousBytes }
}

async function rescanPaths(
  { scsi }: Context,
  { target, lun }: Operation,
  devices: readonly LunDevice[]
): Promise<void> {
  const states = await Promise.all(devices.map(async ({ hctl }) => ({ hctl, state: await scsi.state(hctl) })))
  const down = states.filter(({ state }) => state !== 'running')
  if (down.length > 0) {
    const failures = down.map(({ hctl, state }) => ({ step: formatHctl(hctl), message: `state is ${state ?? 'gone'}` }))
    const names = failures.map(({ step, message }) => `${step} ${message}`).join(', ')
    throw new LunError('NO_PATHS', `not every path to LUN ${lun} of ${target} runs: ${names}`, {
      target,
      lun,
      failures,
    })
  }
  await Promise.all(devices.map(async ({ hctl }) => await scsi.rescan(hctl)))
}

async function agreedSize({ host }: Context, devices: readonly LunDevice[]): Promise<number | undefined> {
  const sizes = await Promise.all(
    devices.map(async ({ disk }) =>
      disk === undefined ? undefined : (await readBlockDevice(host.files, disk))?.sizeBytes
    )
  )
  return new Set(sizes).size === 1 ? sizes[0] : undefined
}

async function topSize({ host }: Context, { map, disks }: LunDescription): Promise<number> {
  const device = map === undefined ? disks[0] : await readBlockDevice(host.files, map.dm)
  return device?.sizeBytes ?? 0
}
