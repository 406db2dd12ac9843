import { isLunError } from '../../core/error.ts'
import { type ExpiredHolds, releaseExpired } from '../../lun/release-expired.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'

const COMMAND = 'release-expired'
/** What is started by those who leave a hold behind. */
export const WAIT_ARGUMENTS: readonly string[] = [COMMAND, '--wait']

const SECOND_MS = 1000
// Another process may note a hold that ends sooner than those that were seen.
const LOOK_MS = 10_000
const RETRY_MS = 60_000

/** Ends the holds whose time is over; with `wait` it goes on until there is none that will end. */
export async function reportReleaseExpired(io: Io, { wait = false }: { readonly wait?: boolean }): Promise<Report> {
  const done = wait ? await waitAlone(io) : await releaseExpired(io)
  const { released, failed, nextInMs } = done
  const lines = [
    ...released.map(({ target, lun, owner, why }) => `released  LUN ${lun} of ${target} for ${owner}: ${why}`),
    ...failed.map(({ step, message }) => `failed    ${step}: ${message}`),
    ...(nextInMs === undefined ? [] : [`next      in ${Math.ceil(nextInMs / SECOND_MS)} s`]),
    ...(released.length + failed.length > 0 || nextInMs !== undefined ? [] : ['nothing is kept ready']),
  ]
  return { json: done, lines, exitCode: failed.length > 0 ? 1 : 0 }
}

/**
 * One process waits for all holds of a host: each renewal of a hold starts another one. Whoever finds one at it has nothing
 * to wait for, provided that it has not just looked for the last time; in that case its lock is free in a moment.
 */
async function waitAlone(io: Io): Promise<ExpiredHolds> {
  const { locks } = io.host
  try {
    return await locks.withLock(COMMAND, async () => await releaseAll(io), { timeoutMs: LOOK_MS, signal: io.signal })
  } catch (error) {
    if (isLunError(error, 'LOCK_TIMEOUT') && error.details.lock === COMMAND) return await releaseExpired(io)
    throw error
  }
}

async function releaseAll({ host, signal }: Io): Promise<ExpiredHolds> {
  const released: ExpiredHolds['released'][number][] = []
  for (;;) {
    const { failed, nextInMs, ...round } = await tryToRelease({ host, signal })
    released.push(...round.released)
    if (failed.length === 0 && nextInMs === undefined) return { released, failed, nextInMs }
    // What fails, such as a device in use, keeps the host busy for a while each time it is tried.
    await host.clock.sleep(failed.length > 0 ? RETRY_MS : Math.min(nextInMs ?? LOOK_MS, LOOK_MS), signal)
  }
}

async function tryToRelease({ host, signal }: Pick<Io, 'host' | 'signal'>): Promise<ExpiredHolds> {
  try {
    return await releaseExpired({ host, signal })
  } catch (error) {
    if (!isLunError(error)) throw error
    return { released: [], failed: [{ step: COMMAND, message: error.message }], nextInMs: undefined }
  }
}
