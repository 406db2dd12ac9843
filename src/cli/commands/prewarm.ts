import { resolveTarget, SCRIPT_FOLDER, withSettings } from '../../hotplug/request.ts'
import { readSettings } from '../../hotplug/settings.ts'
import { type Prewarmed, prewarm } from '../../lun/prewarm.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'
import { WAIT_ARGUMENTS } from './release-expired.ts'

const SECOND_MS = 1000

export interface PrewarmArguments {
  readonly owner: string
  /** Seconds. */
  readonly ttl: number
  /** Seconds. */
  readonly timeout?: number
}

/**
 * Attaches ahead of a guest, by the disk line it will come with. A process of its own ends the hold when its time is over,
 * whether or not the timer is installed.
 */
export async function reportPrewarm(
  { host, signal, startLater }: Io,
  diskTarget: string,
  { owner, ttl, timeout }: PrewarmArguments
): Promise<Report> {
  const settings = await readSettings(host.files)
  const request = withSettings(await resolveTarget(host.files, SCRIPT_FOLDER, diskTarget), settings)
  const timeoutMs = timeout === undefined ? undefined : timeout * SECOND_MS
  const ready = await prewarm(request, { host, signal, owner, ttlMs: ttl * SECOND_MS, timeoutMs })
  const problem =
    ready.expiresInMs === undefined ? undefined : await tryTo(async () => await startLater(WAIT_ARGUMENTS))
  return { json: toJson(ready, problem), lines: describe(ready, problem), exitCode: problem === undefined ? 0 : 1 }
}

async function tryTo(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function toJson(ready: Prewarmed, notWaitedFor: string | undefined): unknown {
  const { outcome, target, lun, wwid, device, sizeBytes, isDegraded, expiresInMs } = ready
  const paths = ready.paths.map(({ error, ...path }) => ({ ...path, error: error?.message }))
  return { outcome, target, lun, wwid, device, sizeBytes, isDegraded, paths, expiresInMs, notWaitedFor }
}

function describe(
  { device, target, lun, paths, expiresInMs }: Prewarmed,
  notWaitedFor: string | undefined
): readonly string[] {
  const missing = paths.filter(({ state }) => state !== 'up')
  const until = expiresInMs === undefined ? 'for good, as before' : `for ${Math.round(expiresInMs / SECOND_MS)} s`
  return [
    `${device} is ready ${until}: LUN ${lun} of ${target}, ${paths.length - missing.length} of ${paths.length} paths`,
    ...missing.map(({ portal, iface, error }) => `missing  ${portal} ${iface}: ${error?.message ?? 'not up yet'}`),
    ...(notWaitedFor === undefined
      ? []
      : [`nobody waits for its end (${notWaitedFor}): run xen-lun ${WAIT_ARGUMENTS.join(' ')}`]),
  ]
}
