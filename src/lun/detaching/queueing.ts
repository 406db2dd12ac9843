import { findMapByWwid } from '../../block/block-device.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'

/**
 * Lets I/O wait again for a path of a map that was told to fail it, and was left so: by a detach by force that was
 * refused, or did not end. Starts no process where nothing was. The caller has the LUN's lock. What does not work is
 * noted still, for the next one.
 */
export async function restoreQueueing(
  { multipath, journal, host }: Context,
  operation: Pick<Operation, 'target' | 'lun' | 'emit'>
): Promise<void> {
  const { unqueued } = (await journal.lun(operation)) ?? {}
  if (unqueued === undefined) return
  const map = await findMapByWwid(host.files, unqueued)
  try {
    // Not given a signal: it is the end of an operation that may be over.
    if (map?.dm !== undefined) await multipath.restoreQueueing(map.dm.name)
    await journal.noteUnqueued(operation, undefined)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    operation.emit({ type: 'warning', message: `${map?.dm?.name} still fails I/O while no path works: ${reason}` })
  }
}
