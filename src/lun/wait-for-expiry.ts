import { isLunError } from '../core/error.ts'
import type { Host } from '../host/host.ts'
import type { LunOptions } from './operation.ts'
import { type ExpiredHolds, releaseExpired } from './release-expired.ts'

/** Where to wait, and until when. */
export interface WaitForExpiryOptions extends Pick<LunOptions, 'onEvent' | 'signal'> {
  readonly host: Host
}

const LOCK = 'release-expired'
// Another process may note a hold that ends sooner than those that were seen.
const LOOK_MS = 10_000
const RETRY_MS = 60_000

/**
 * Releases every hold when its time is over, until there is none that will end: for a process of its own, started by
 * those who leave a hold behind. One process waits for all holds of a host, since each renewal of a hold starts another
 * one. Whoever finds one at it has nothing to wait for, provided that it has not just looked for the last time; in that
 * case its lock is free in a moment.
 */
export async function waitForExpiry(options: WaitForExpiryOptions): Promise<ExpiredHolds> {
  const { host, signal } = options
  try {
    return await host.locks.withLock(LOCK, async () => await releaseAll(options), { timeoutMs: LOOK_MS, signal })
  } catch (error) {
    if (isLunError(error, 'LOCK_TIMEOUT') && error.details.lock === LOCK) return await releaseExpired(options)
    throw error
  }
}

async function releaseAll(options: WaitForExpiryOptions): Promise<ExpiredHolds> {
  const released: ExpiredHolds['released'][number][] = []
  for (;;) {
    const { failed, nextInMs, ...round } = await tryToRelease(options)
    released.push(...round.released)
    if (failed.length === 0 && nextInMs === undefined) return { released, failed, nextInMs }
    // What fails, such as a device in use, keeps the host busy for a while each time it is tried.
    const pauseMs = failed.length > 0 ? RETRY_MS : Math.min(nextInMs ?? LOOK_MS, LOOK_MS)
    await options.host.clock.sleep(pauseMs, options.signal)
  }
}

async function tryToRelease(options: WaitForExpiryOptions): Promise<ExpiredHolds> {
  try {
    return await releaseExpired(options)
  } catch (error) {
    if (!isLunError(error)) throw error
    return { released: [], failed: [{ step: LOCK, message: error.message }], nextInMs: undefined }
  }
}
