import { findMapByWwid } from '../../block/block-device.ts'
import { hasCode, isLunError, LunError } from '../../core/error.ts'
import type { FailedStep } from '../../core/error-details.ts'
import { formatHctl } from '../../core/hctl.ts'
import { wwid } from '../../core/wwid.ts'
import { collectFailures } from '../../flow/collect.ts'
import { retry } from '../../flow/retry.ts'
import { until } from '../../flow/until.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import type { Leftovers } from '../volume/leftovers.ts'
import { type Unwritten, writeLeftBehind, writeThrough } from './write-through.ts'

/** How the single steps go on; the kernel may take 30 s to let go of a device. */
export interface TeardownOptions {
  /** How long a map may stay busy: udev probing it, a Xen backend closing it. */
  readonly busyMs: number
  readonly removeMs: number
  /** Asked whenever the map is busy: the error to end with, or undefined to try again. */
  readonly onBusy?: () => Promise<Error | undefined>
  /** A write that waits for a path which does not work is given up. Default false. */
  readonly force?: boolean
  /** Hears of each disk that was deleted though what was cached of it could not be written. */
  readonly onUnwritten?: (unwritten: Unwritten) => void
}

/**
 * Flush, delete, forget, in that order and never another: a delete below a dirty page loses writes. A map that stays
 * busy ends it before anything was changed; later failures are collected.
 *
 * @throws {@link LunError} `MAP_BUSY`, what `onBusy` answers, and what multipathd answers
 */
export async function tearDown(
  context: Context,
  operation: Pick<Operation, 'signal' | 'step'>,
  leftovers: Leftovers,
  options: TeardownOptions
): Promise<readonly FailedStep[]> {
  const { map } = leftovers
  if (map !== undefined) await operation.step('flush', async () => await flush(context, operation, map, options))
  const failed = [
    ...(await operation.step('delete', async () => await removeDevices(context, operation, leftovers, options))),
    ...(await collectFailures([['flush', async () => await flushLateMap(context, operation, leftovers, options)]])),
  ]
  if (leftovers.wwidEntries.length === 0) return failed
  return [...failed, ...(await operation.step('forget', async () => await removeWwids(context, operation, leftovers)))]
}

async function flush(
  { host, multipath }: Context,
  { signal }: Pick<Operation, 'signal'>,
  map: { readonly name: string; readonly wwid: string },
  { busyMs, removeMs, onBusy }: TeardownOptions
): Promise<void> {
  const attempt = async (): Promise<void> => {
    try {
      await multipath.flush(map.name, { signal })
    } catch (error) {
      throw (isLunError(error, 'MAP_BUSY') ? await onBusy?.() : undefined) ?? error
    }
  }
  await retry(host.clock, attempt, {
    isPassing: hasCode('MAP_BUSY'),
    withinMs: busyMs,
    firstPauseMs: 50,
    maxPauseMs: 500,
    signal,
  })
  await until(host.clock, async () => (await findMapByWwid(host.files, map.wwid)) === undefined, {
    awaited: `multipath map ${map.name} to go`,
    timeoutMs: removeMs,
    signal,
  })
}

/** multipathd may have made a map after we looked; without paths it serves nobody. */
async function flushLateMap(
  context: Context,
  operation: Pick<Operation, 'signal'>,
  { map, wwid: volume }: Leftovers,
  options: TeardownOptions
): Promise<void> {
  if (map !== undefined || volume === undefined) return
  const late = await findMapByWwid(context.host.files, volume)
  if (late?.dm === undefined || late.slaves.length > 0) return
  await flush(context, operation, { name: late.dm.name, wwid: volume }, options)
}

async function removeDevices(
  context: Context,
  { signal }: Pick<Operation, 'signal'>,
  { devices, dirty }: Leftovers,
  options: TeardownOptions
): Promise<readonly FailedStep[]> {
  const { removeMs, onUnwritten } = options
  // Not by disk names: those are free as soon as the devices are gone, and another LUN may have them by now.
  const deleted = new Set<string>()
  const remove = async ({ hctl, disk }: Leftovers['devices'][number]): Promise<readonly FailedStep[]> => {
    const unwritten: Unwritten[] = []
    const write = async (): Promise<void> => {
      if (disk === undefined) return
      const how = { busyMs: options.busyMs, force: options.force ?? false, removeMs, signal }
      if (!dirty.includes(disk)) {
        await writeLeftBehind(context, { hctl, disk }, how)
        return
      }
      const found = await writeThrough(context, { hctl, disk }, how)
      if (found !== undefined) unwritten.push(found)
    }
    // A disk with something to write that may yet be written is not deleted.
    const failed = await collectFailures([[`write what is cached of ${disk}`, write]])
    if (failed.length > 0) return failed
    const drop = async (): Promise<void> => {
      await context.scsi.remove(hctl, { timeoutMs: removeMs, signal })
      deleted.add(formatHctl(hctl))
      for (const each of unwritten) onUnwritten?.(each)
    }
    return await collectFailures([[`delete SCSI device ${formatHctl(hctl)}`, drop]])
  }
  const failed = await Promise.all(devices.map(remove))
  const forgotten = await collectFailures([
    ['multipathd forgets the paths', async () => await untilForgotten(context, deleted, { removeMs, signal })],
  ])
  return [...failed.flat(), ...forgotten]
}

/** Otherwise a late removal event hits the next device of that name. */
async function untilForgotten(
  { host, multipath }: Context,
  hctls: ReadonlySet<string>,
  { removeMs, signal }: { readonly removeMs: number; readonly signal: AbortSignal }
): Promise<void> {
  if (hctls.size === 0 || !(await multipath.isRunning({ signal }))) return
  const isForgotten = async (): Promise<boolean> =>
    !(await multipath.paths({ signal })).some(({ hctl }) => hctl !== undefined && hctls.has(formatHctl(hctl)))
  const awaited = `multipathd to forget ${[...hctls].join(', ')}`
  await until(host.clock, isForgotten, { awaited, timeoutMs: removeMs, signal })
}

async function removeWwids(
  { multipath }: Context,
  { signal }: Pick<Operation, 'signal'>,
  { wwidEntries }: Leftovers
): Promise<readonly FailedStep[]> {
  const present = (await multipath.wwids()).filter(entry => wwidEntries.includes(entry))
  return await collectFailures(
    present.map(
      entry =>
        [
          `remove ${entry} from multipath's wwids`,
          async () => await multipath.removeWwid(wwid(entry), { signal }),
        ] as const
    )
  )
}

/** The error of an attach whose undoing failed too: what went wrong first is its cause. */
export function notUndone(
  error: unknown,
  target: string,
  lun: number,
  steps: readonly FailedStep[]
): LunError<'ATTACH_NOT_UNDONE'> {
  const first = error instanceof Error ? error.message : String(error)
  const left = steps.map(({ step, message }) => `${step}: ${message}`).join('; ')
  const text = `${first}; and taking back LUN ${lun} of ${target} failed: ${left}`
  return new LunError('ATTACH_NOT_UNDONE', text, { target, lun, steps }, { cause: error })
}
