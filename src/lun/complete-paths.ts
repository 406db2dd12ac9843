import type { PathOutcome } from '../core/path-outcome.ts'
import { onAbort } from '../flow/on-abort.ts'
import { attachAs, toAttachment } from './attach.ts'
import { assertHeld } from './attaching/entrance.ts'
import type { LunOptions } from './operation.ts'
import type { AttachRequest } from './request.ts'

/**
 * Goes on with an attach that returned without all paths, in another process than that one: tries those that are missing for
 * `paths.lateMs`, and ends early when all are there or the owner lets go of the LUN. Returns how each path fared. For programs that must
 * end when the LUN can be used, as a block script.
 *
 * @throws {@link LunError} `LUN_NOT_FOUND` when the owner does not hold the LUN; what `attachLun` throws
 * @example
 * ```ts
 * import { completePaths } from 'xen-lun'
 *
 * const request = { target: 'iqn.2001-05.com.example:vm1', portals: ['10.0.1.1', '10.0.2.1'] }
 * const paths = await completePaths(request, { owner: 'backend/vbd/3/51712' })
 * console.log(paths.every(({ state }) => state === 'up') ? 'all paths are up' : 'some are still missing')
 * ```
 */
export async function completePaths(request: AttachRequest, options: LunOptions = {}): Promise<readonly PathOutcome[]> {
  const attachment = toAttachment(await attachAs({ check: assertHeld }, request, options), options)
  const ignore = onAbort(options.signal, () => void attachment.stop())
  try {
    return await attachment.allPaths()
  } finally {
    ignore()
  }
}
