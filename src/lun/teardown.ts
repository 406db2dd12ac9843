import { findMapByWwid } from '../block/block-device.ts'
import { hasCode, LunError } from '../core/error.ts'
import type { FailedStep } from '../core/error-details.ts'
import { formatHctl, type Hctl } from '../core/hctl.ts'
import type { Iqn } from '../core/iqn.ts'
import { wwid } from '../core/wwid.ts'
import { collectFailures } from '../flow/collect.ts'
import { retry } from '../flow/retry.ts'
import { until } from '../flow/until.ts'
import type { IscsiSession } from '../iscsi/session.ts'
import type { Context } from './context.ts'
import { jobsFor, sessionKey } from './jobs.ts'
import type { Operation } from './operation.ts'

/** node.conn[0].timeo.logout_timeout */
const LOGOUT_MS = 15_000

/** What is to go. */
export interface Leftovers {
  /** The map to flush. */
  readonly map: { readonly name: string; readonly wwid: string } | undefined
  /** The LUN's SCSI devices. */
  readonly devices: readonly { readonly hctl: Hctl; readonly disk: string | undefined }[]
  /** Somebody may have written to the devices themselves: without a map, and after the attach. */
  readonly isDirty: boolean
  /** Entries of multipath's wwids file, as far as they are there. */
  readonly wwidEntries: readonly string[]
  /** Sessions to log out, unless another LUN lives on them. */
  readonly sessions: readonly IscsiSession[]
  /** Paths of node records to delete, once no session needs them. */
  readonly records: readonly string[]
}

export function isNothing({ map, devices, wwidEntries, sessions, records }: Leftovers): boolean {
  return map === undefined && [wwidEntries, devices, sessions, records].every(list => list.length === 0)
}

/** Deadlines of the single steps; the kernel may take 30 s to let go of a device. */
export interface TeardownTimes {
  /** How long a map may stay busy: udev probing it, a Xen backend closing it. */
  readonly busyMs: number
  readonly removeMs: number
}

/**
 * Flush, delete, log out, forget, in that order and never another: a logout below a map, or a delete below a dirty
 * page, loses writes. A map that stays busy ends it before anything was changed; later failures are collected.
 *
 * @throws {@link LunError} `MAP_BUSY`, and what multipathd answers
 */
export async function tearDown(
  context: Context,
  operation: Pick<Operation, 'signal' | 'step' | 'target' | 'lun'>,
  leftovers: Leftovers,
  times: TeardownTimes
): Promise<readonly FailedStep[]> {
  const { map } = leftovers
  if (map !== undefined) await operation.step('flush', async () => await flush(context, operation, map, times))
  return [
    ...(await operation.step('delete', async () => await removeDevices(context, operation, leftovers, times))),
    ...(await operation.step(
      'logout',
      async () =>
        await collectFailures([['logout', async () => await logOut(context, operation, leftovers.sessions, times)]])
    )),
    ...(await operation.step('forget', async () => await forget(context, operation, leftovers))),
  ]
}

async function flush(
  { host, multipath }: Context,
  { signal }: Pick<Operation, 'signal'>,
  map: { readonly name: string; readonly wwid: string },
  { busyMs, removeMs }: TeardownTimes
): Promise<void> {
  await retry(host.clock, async () => await multipath.flush(map.name, { signal }), {
    isPassing: hasCode('MAP_BUSY'),
    withinMs: busyMs,
    firstPauseMs: 50,
    maxPauseMs: 500,
    signal,
  })
  await until(host.clock, async () => (await findMapByWwid(host.files, map.wwid)) === undefined, {
    awaited: `multipath map ${map.name} to go`,
    timeoutMs: removeMs,
    signal,
  })
}

async function removeDevices(
  { host, multipath, scsi }: Context,
  { signal }: Pick<Operation, 'signal'>,
  { devices, isDirty }: Leftovers,
  { removeMs }: TeardownTimes
): Promise<readonly FailedStep[]> {
  const failed = await Promise.all(
    devices.map(
      async ({ hctl, disk }) =>
        await collectFailures([
          [
            `delete SCSI device ${formatHctl(hctl)}`,
            async () => {
              if (disk !== undefined && isDirty) await syncUntil(signal, host.files.sync(`/dev/${disk}`))
              await scsi.remove(hctl, { timeoutMs: removeMs, signal })
            },
          ],
        ])
    )
  )
  // Not by disk names: those are free as soon as the devices are gone, and another LUN may have them by now.
  const hctls = new Set(devices.map(({ hctl }) => formatHctl(hctl)))
  const forgotten = async (): Promise<boolean> =>
    !(await multipath.paths({ signal })).some(({ hctl }) => hctl !== undefined && hctls.has(formatHctl(hctl)))
  const waited = await collectFailures([
    [
      'multipathd forgets the paths',
      async () => {
        // Otherwise a late removal event hits the next device of that name.
        if (hctls.size === 0 || !(await multipath.isRunning({ signal }))) return
        const awaited = `multipathd to forget ${[...hctls].join(', ')}`
        await until(host.clock, forgotten, { awaited, timeoutMs: removeMs, signal })
      },
    ],
  ])
  return [...failed.flat(), ...waited]
}

// The sync of a path that is dead lasts as long as the kernel hopes for it, and cannot be stopped.
async function syncUntil(signal: AbortSignal, sync: Promise<boolean>): Promise<void> {
  const done = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { signal: done.signal })
    if (signal.aborted) onAbort()
  })
  try {
    await Promise.race([sync, aborted])
  } finally {
    done.abort()
  }
}

async function logOut(
  context: Context,
  { signal, target }: Pick<Operation, 'signal' | 'target'>,
  sessions: readonly IscsiSession[],
  { removeMs }: TeardownTimes
): Promise<void> {
  const { iscsiadm, scsi, host, ledger } = context
  const idle: number[] = []
  for (const session of sessions) {
    if ((await scsi.devices(session)).length === 0) idle.push(session.sid)
  }
  if (idle.length === 0) return
  const leaving = sessions.filter(({ sid }) => idle.includes(sid)).map(sessionKey)
  await ledger.note(target, { jobs: await jobsFor(host.files, 'logout', leaving, LOGOUT_MS) })
  const present = await iscsiadm.sessions({ target })
  const isWhole = idle.length > 1 && present.every(session => idle.includes(session.sid))
  if (isWhole) await iscsiadm.logout({ target }, { signal })
  // iscsiadm may answer "nothing found" although sessions live on; only sysfs tells.
  const left = await sidsLeft(context, target, idle)
  await Promise.all(left.map(async sid => await iscsiadm.logoutSession(sid, { signal })))
  await until(host.clock, async () => (await sidsLeft(context, target, idle)).length === 0, {
    awaited: `sessions ${idle.join(', ')} of ${target} to end`,
    timeoutMs: removeMs,
    signal,
  })
}

async function sidsLeft({ iscsiadm }: Context, target: Iqn, sids: readonly number[]): Promise<readonly number[]> {
  return (await iscsiadm.sessions({ target })).map(({ sid }) => sid).filter(sid => sids.includes(sid))
}

async function forget(
  context: Context,
  { signal, target }: Pick<Operation, 'signal' | 'target'>,
  { records, wwidEntries }: Leftovers
): Promise<readonly FailedStep[]> {
  const { nodeDb, multipath, iscsiadm } = context
  const steps: [string, () => Promise<unknown>][] = []
  const entries = wwidEntries.length === 0 ? [] : await multipath.wwids()
  for (const entry of entries.filter(each => wwidEntries.includes(each))) {
    steps.push([
      `remove ${entry} from multipath's wwids`,
      async () => await multipath.removeWwid(wwid(entry), { signal }),
    ])
  }
  const isInUse = (await iscsiadm.sessions({ target })).length > 0
  for (const record of isInUse ? [] : records) {
    steps.push([`delete node record ${record}`, async () => await nodeDb.remove(record, { signal })])
  }
  return await collectFailures(steps)
}

/** The error of an attach whose undoing failed too: what went wrong first is its cause. */
export function notUndone(
  error: unknown,
  target: string,
  lun: number,
  steps: readonly FailedStep[]
): LunError<'ATTACH_NOT_UNDONE'> {
  const first = error instanceof Error ? error.message : String(error)
  const left = steps.map(({ step, message }) => `${step}: ${message}`).join('; ')
  const text = `${first}; and taking back LUN ${lun} of ${target} failed: ${left}`
  return new LunError('ATTACH_NOT_UNDONE', text, { target, lun, steps }, { cause: error })
}
