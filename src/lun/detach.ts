import { isLunError, LunError } from '../core/error.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import { findLun } from './find-lun.ts'
import { assertUnused, describeBusy } from './in-use.ts'
import { finishJobs } from './jobs.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, type Operation, runOnTarget } from './operation.ts'
import { checkAddress, type LunAddress } from './request.ts'
import { isNothing, tearDown } from './teardown.ts'

/** Options of {@link detachLun}. */
export interface DetachOptions extends LunOptions {
  /** How long the device may stay busy with something that is ending by itself. Default 5000. */
  readonly busyMs?: number | undefined
}

/** What a detach did. */
export interface Detachment {
  /** `already-detached`: there was nothing to do. */
  readonly outcome: 'detached' | 'already-detached'
  readonly target: string
  readonly lun: number
  /** WWID of the LUN, if it was still known. */
  readonly wwid: string | undefined
}

const BUSY_MS = 5000

/**
 * Detaches a LUN from this host: refuses while it is in use, flushes its map, deletes its devices, logs out the
 * sessions on which no other LUN lives, and deletes the node records that attaching created. Does nothing, and says
 * so, when the LUN is not attached. Needs nothing but target and LUN number.
 *
 * On abort or timeout it stops between two steps; calling it again goes on from there.
 *
 * @throws {@link LunError} `LUN_IN_USE` (nothing was changed), `DETACH_INCOMPLETE` (with what is left), `INVALID_INPUT`,
 * `TIMEOUT`, `LOCK_TIMEOUT`, `MULTIPATHD_NOT_RUNNING`
 * @example
 * ```ts
 * import { detachLun } from 'xen-lun'
 *
 * const { outcome } = await detachLun({ target: 'iqn.2001-05.com.example:vm1', lun: 0 })
 * console.log(outcome) // 'detached', or 'already-detached'
 * ```
 */
export async function detachLun(address: LunAddress, options: DetachOptions = {}): Promise<Detachment> {
  const place = checkAddress(address)
  const context = createContext(options.host ?? createLocalHost())
  const { timeoutMs = OPERATION_TIMEOUT_MS, busyMs = BUSY_MS } = options
  const times = { busyMs, removeMs: timeoutMs }
  return await runOnTarget(
    context.host,
    { operation: 'detach', ...place },
    options,
    async operation => await detachLocked(context, operation, times)
  )
}

async function detachLocked(
  context: Context,
  operation: Operation,
  times: { readonly busyMs: number; readonly removeMs: number }
): Promise<Detachment> {
  const { target, lun } = operation
  await finishJobs(context, operation)
  const ledger = await context.ledger.read(target)
  const found = await findLun(context, operation, ledger)
  const { leftovers, wwid } = found
  const isEnded = async (): Promise<boolean> => (await context.iscsiadm.sessions({ target })).length === 0
  if (isNothing(leftovers)) {
    await context.ledger.settle(target, lun, { isEnded: await isEnded() })
    return { outcome: 'already-detached', target, lun, wwid }
  }
  const disks = found.disks.map(({ name }) => name)
  await operation.step('in-use', async () => {
    // A path is held by its map, so where there is a map only the map's users count; a shared map stays. multipathd
    // refuses to flush an open map, so only a plain disk needs a look at every process.
    const { map } = found
    if (map === undefined) await assertUnused(context, operation, disks, { busyMs: times.busyMs, withProcesses: true })
    else if (!found.isShared) {
      await assertUnused(context, operation, [map.dm], { busyMs: times.busyMs, withProcesses: false })
    }
  })
  const failed = await tearDown(context, operation, leftovers, times).catch(async (error: unknown) => {
    throw isLunError(error, 'MAP_BUSY')
      ? await describeBusy(context, operation, found.map === undefined ? disks : [found.map.dm])
      : error
  })
  if (failed.length > 0) {
    operation.signal.throwIfAborted()
    const left = failed.map(({ step, message }) => `${step}: ${message}`).join('; ')
    throw new LunError('DETACH_INCOMPLETE', `LUN ${lun} of ${target} is not wholly detached: ${left}`, {
      target,
      lun,
      steps: failed,
    })
  }
  await context.ledger.settle(target, lun, { isEnded: await isEnded() })
  return { outcome: 'detached', target, lun, wwid }
}
