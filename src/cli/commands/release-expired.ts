import { releaseExpired } from '../../lun/release-expired.ts'
import { waitForExpiry } from '../../lun/wait-for-expiry.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'

const COMMAND = 'release-expired'
/** What is started by those who leave a hold behind. */
export const WAIT_ARGUMENTS: readonly string[] = [COMMAND, '--wait']

const SECOND_MS = 1000

/** Ends the holds whose time is over; with `wait` it goes on until there is none that will end. */
export async function reportReleaseExpired(io: Io, { wait = false }: { readonly wait?: boolean }): Promise<Report> {
  const done = wait ? await waitForExpiry(io) : await releaseExpired(io)
  const { released, failed, nextInMs } = done
  const lines = [
    ...released.map(({ target, lun, owner, why }) => `released  LUN ${lun} of ${target} for ${owner}: ${why}`),
    ...failed.map(({ step, message }) => `failed    ${step}: ${message}`),
    ...(nextInMs === undefined ? [] : [`next      in ${Math.ceil(nextInMs / SECOND_MS)} s`]),
    ...(released.length + failed.length > 0 || nextInMs !== undefined ? [] : ['nothing is kept ready']),
  ]
  return { json: done, lines, exitCode: failed.length > 0 ? 1 : 0 }
}
