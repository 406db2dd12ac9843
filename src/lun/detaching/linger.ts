import { readBlockDevice } from '../../block/block-device.ts'
import type { Context } from '../context.ts'
import { expiryIn } from '../journal/expiry.ts'
import { lingerName } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'
import type { FoundLun } from '../volume/find-lun.ts'
import { assertUnused } from '../volume/in-use.ts'
import { proveDevice } from '../volume/proof.ts'
import type { Detachment } from './detachment.ts'
import { syncUntil } from './teardown.ts'

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
  const { map, isShared, wwid } = found
  if (map === undefined || isShared) return undefined
  if (!(await operation.step('identity', async () => await isHealthy(context, operation, found)))) return undefined
  await operation.step('in-use', async () => {
    // There will be no flush of the map, which would tell that somebody has it open.
    await assertUnused(context, operation, found, { busyMs })
  })
  const isWritten = await operation.step(
    'flush',
    async () => await syncUntil(signal, files.sync(`/dev/mapper/${map.name}`))
  )
  if (!isWritten) return undefined
  const name = lingerName(owner)
  await context.journal.replaceOwner(operation, owner, name, await expiryIn(files, 'linger', lingerMs))
  return { outcome: 'lingering', target, lun, wwid, owners: [name], writes: 'written' }
}

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
