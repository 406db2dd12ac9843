import { isLunError } from '../core/error.ts'
import { releaseOwner } from '../lun/release-owner.ts'
import type { Call } from './call.ts'

/** The part of the time that a busy device may take; the rest is for flushing and logging out. */
const BUSY_PART = 0.6

/**
 * Lets go of what the disk holds, as the journal tells: xenstore may have forgotten the disk already, and a target
 * written there is no proof that it was attached for it. Does nothing for a disk that holds nothing.
 */
export async function remove(call: Call): Promise<void> {
  const { host, backend, budget, settings, signal, onEvent, log, isDriverDomain } = call
  try {
    const released = await releaseOwner(backend.path, {
      host,
      timeoutMs: budget.stopMs,
      // blkback lets go some time after it says Closed.
      busyMs: Math.round(budget.stopMs * BUSY_PART),
      lingerMs: settings.lingerMs,
      signal,
      onEvent,
    })
    for (const { outcome, target, lun } of released) log(`${outcome}: LUN ${lun} of ${target}`)
    if (released.some(({ outcome }) => outcome === 'lingering')) call.startLater('expire')
    if (released.length === 0) log('nothing is attached for it')
  } catch (error) {
    // In a driver domain nobody reads why, and dom0 would wait for the directory to go. The journal keeps the LUN, and
    // `reconcile` releases it.
    if (!isDriverDomain || !isLunError(error, 'LUN_IN_USE')) throw error
    log(`left to reconcile: ${error.message}`)
  }
}
