import { isLunError } from '../core/error.ts'
import { completePaths } from '../lun/complete-paths.ts'
import type { Call } from './call.ts'
import { readRequest } from './request.ts'

/** Goes on trying the paths that were missing when `add` ended, as long as the disk is there. */
export async function complete(call: Call): Promise<void> {
  const { host, backend, settings, signal, onEvent, log } = call
  try {
    const request = await readRequest(call)
    const options = { host, owner: backend.path, signal, onEvent }
    const paths = await completePaths({ ...request, paths: { ...request.paths, lateMs: settings.lateMs } }, options)
    const missing = paths.filter(({ state }) => state !== 'up')
    log(`${paths.length - missing.length} of ${paths.length} paths are up`)
    for (const { portal, error } of missing) log(`${portal}: ${error?.message ?? 'missing'}`)
  } catch (error) {
    if (!isLunError(error, 'LUN_NOT_FOUND') && !isLunError(error, 'XENSTORE_NOT_FOUND')) throw error
    log('the disk was removed meanwhile')
  }
}
