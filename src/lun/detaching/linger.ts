import { readBlockDevice } from '../../block/block-device.ts'
import { openCounts } from '../../block/dm.commands.ts'
import { readStack } from '../../block/stack.ts'
import { isLunError } from '../../core/error.ts'
import { unlessAborted } from '../../flow/unless-aborted.ts'
import { until } from '../../flow/until.ts'
import { run } from '../../host/executor.ts'
import type { Files } from '../../host/files.ts'
import type { Context } from '../context.ts'
import { expiryIn } from '../journal/expiry.ts'
import { lingerName } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'
import type { FoundLun } from '../volume/find-lun.ts'
import { assertUnused, describeBusy } from '../volume/in-use.ts'
import { proveDevice } from '../volume/proof.ts'
import type { Detachment } from './detachment.ts'

/** How the last owner lets go of a LUN that may linger. */
export interface LingerHow {
  readonly busyMs: number
  readonly lingerMs: number
}

/**
 * Leaves a LUN where it is for its next owner, with everything written and nobody at it, so that another host may use
 * the volume meanwhile. Undefined where it is not as healthy as it was when it was handed over: what is to be reused
 * must not be a problem. Only a map is left: multipathd may keep a plain disk open, and with it what the kernel has read
 * of it, which another host may change.
 *
 * @throws {@link LunError} `LUN_IN_USE`
 */
export async function linger(
  context: Context,
  operation: Operation,
  found: FoundLun & { readonly known: string | undefined },
  { busyMs, lingerMs }: LingerHow
): Promise<Detachment | undefined> {
  const { target, lun, owner, signal } = operation
  const { files } = context.host
  const { map, isShared, unmapped, wwid } = found
  if (map === undefined || isShared || unmapped.length > 0) return undefined
  if (!(await operation.step('identity', async () => await isHealthy(context, operation, found)))) return undefined
  const used = await operation.step('in-use', async () => {
    const disks = await assertUnused(context, operation, found, { busyMs })
    // There will be no flush of the map, which would tell that somebody has it open.
    return (await isClosed(context, operation, found, busyMs)) ? disks : undefined
  })
  if (used === undefined) return undefined
  const isWritten = await operation.step('flush', async () => {
    const nodes = [`/dev/${map.dm}`, ...used.map(disk => `/dev/${disk}`)]
    const written = await Promise.all(nodes.map(async node => await unlessAborted(trySync(files, node), signal)))
    return written.every(Boolean)
  })
  if (!isWritten) return undefined
  const name = lingerName(owner)
  await context.journal.replaceOwner(operation, owner, name, await expiryIn(files, 'linger', lingerMs))
  return { outcome: 'lingering', target, lun, wwid, owners: [name], writes: 'written' }
}

/** False also for what cannot be written: a detach says so. */
async function trySync(files: Files, node: string): Promise<boolean> {
  return await files.sync(node).catch(() => false)
}

/**
 * The kernel says that nobody has the map open, nor a partition of it. False where it does not say.
 *
 * @throws {@link LunError} `LUN_IN_USE`
 */
async function isClosed(context: Context, operation: Operation, found: FoundLun, busyMs: number): Promise<boolean> {
  const { files, executor, clock } = context.host
  const { signal } = operation
  const look = async (): Promise<'closed' | 'unknown' | undefined> => {
    const counts = await run(executor, openCounts(), { signal }).catch((error: unknown) => {
      if (isLunError(error)) return undefined
      throw error
    })
    const stack = (await readStack(files, [found.map?.dm ?? ''])).filter(({ isVolume }) => isVolume)
    const opens = stack.map(({ major, minor }) => counts?.get(`${major}:${minor}`))
    if (opens.length === 0 || opens.includes(undefined)) return 'unknown'
    // Each device that is stacked on another has it open once.
    return stack.every(({ holders }, n) => (opens[n] ?? 0) <= holders.length) ? 'closed' : undefined
  }
  const awaited = 'the device to be closed'
  try {
    return (await until(clock, look, { awaited, timeoutMs: busyMs, everyMs: CLOSED_MS, signal })) === 'closed'
  } catch (error) {
    signal.throwIfAborted()
    throw isLunError(error, 'TIMEOUT') ? await describeBusy(context, operation, found) : error
  }
}

/** Each look starts a process. */
const CLOSED_MS = 500

/** Every path works and leads to the volume that was attached, and so does the map. */
async function isHealthy(
  context: Context,
  operation: Operation,
  { map, devices, known }: FoundLun & { readonly known: string | undefined }
): Promise<boolean> {
  try {
    const block = map === undefined ? undefined : await readBlockDevice(context.host.files, map.dm)
    const watched = map === undefined ? undefined : await context.multipath.map(map.name)
    if (block === undefined || watched === undefined || known === undefined) return false
    const { paths } = await proveDevice(context, operation, block, known, devices)
    const isWhole = paths.length === devices.length && paths.every(({ isLive }) => isLive)
    return isWhole && watched.paths.every(({ dmState }) => dmState === 'active')
  } catch {
    // Whatever it is, a detach finds out.
    operation.signal.throwIfAborted()
    return false
  }
}
