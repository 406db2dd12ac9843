import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import { assertNoTwinUse } from '../volume/elsewhere.ts'
import { findDevices } from '../volume/find-lun.ts'

/** Makes multipathd willing to map a disk of this volume. */
export type Admit = (disk: string, wwid: string, signal: AbortSignal) => Promise<void>

/**
 * Nobody may have a disk of the volume by itself, through another target either, over which there would be a map. And
 * unless `find_multipaths` is `off` or `greedy`, multipathd maps a device only once it has seen two paths or knows the
 * WWID; a lone path would wait for ever. Both is done once, whichever path comes first.
 *
 * @throws {@link LunError} `LUN_IN_USE`, `TIMEOUT`
 */
export function createAdmission(context: Context, operation: Operation): Admit {
  let admitted: Promise<void> | undefined
  return async (disk, wwid, signal) => {
    admitted ??= (async () => {
      const devices = await findDevices(context, await context.iscsiadm.sessions(operation), operation.lun)
      const own = devices.flatMap(({ disk: name }) => (name === undefined ? [] : [name]))
      await assertNoTwinUse(context, operation, wwid, own)
      const { findMultipaths } = await context.multipath.config({ signal })
      if (findMultipaths !== 'off' && findMultipaths !== 'greedy') await context.multipath.addWwid(disk, { signal })
    })()
    await admitted
  }
}
