import type { Iqn } from '../core/iqn.ts'
import { formatPortal, portal } from '../core/portal.ts'
import { until } from '../flow/until.ts'
import type { Files } from '../host/files.ts'
import type { IscsiSession } from '../iscsi/session.ts'
import type { Context } from './context.ts'
import type { TargetLedger } from './ledger.ts'
import type { Operation } from './operation.ts'
import { endpointKey } from './request.ts'

type Kind = 'discovery' | 'record' | 'login' | 'logout'

/** Time open-iscsi may take beyond the work itself, on a slow host. */
const MARGIN_MS = 5000
const SECOND_MS = 1000

/** Jobs for the ledger: what open-iscsi is about to be told, and when it must be done with it. */
export async function jobsFor(
  files: Files,
  kind: Kind,
  things: readonly string[],
  timeoutMs: number
): Promise<TargetLedger['jobs']> {
  const untilMs = (await uptimeMs(files)) + timeoutMs + MARGIN_MS
  return Object.fromEntries(things.map(thing => [`${kind} ${thing}`, untilMs]))
}

/**
 * Waits for what a process of ours that died had told open-iscsi to do: it goes on by itself, and a session or record
 * that comes or goes in the middle of the next operation would be nobody's. A job whose outcome is there, or whose time
 * is over, is done. Then it deletes what that process had made for itself only.
 */
export async function finishJobs(context: Context, place: Pick<Operation, 'target' | 'signal'>): Promise<void> {
  const { iscsiadm, ledger, host } = context
  const { target, signal } = place
  const { jobs, discoveries } = await ledger.read(target)
  if (Object.keys(jobs).length > 0) {
    const awaited = `what open-iscsi was told about ${target} by a process that is gone`
    const isDone = async (): Promise<boolean> => await areDone(context, target, jobs)
    await until(host.clock, isDone, { awaited, timeoutMs: Number.MAX_SAFE_INTEGER, signal })
    await ledger.note(target, { jobs: {} })
  }
  if (discoveries.length === 0) return
  for (const at of discoveries) await iscsiadm.deleteDiscoveryRecord(portal(at), { signal })
  await ledger.note(target, { discoveries: [] })
}

async function areDone({ iscsiadm, nodeDb, host }: Context, target: Iqn, jobs: TargetLedger['jobs']): Promise<boolean> {
  const sessions = await iscsiadm.sessions({ target })
  const present: Readonly<Record<Kind, readonly string[]>> = {
    discovery: (await nodeDb.discoveryRecords()).records.map(record => formatPortal(record.portal)),
    record: (await nodeDb.recordsOf(target)).records.map(endpointKey),
    login: sessions.filter(({ state }) => state === 'logged-in').map(sessionKey),
    logout: sessions.map(sessionKey),
  }
  const nowMs = await uptimeMs(host.files)
  return Object.entries(jobs).every(([job, untilMs]) => {
    const [, kind = '', thing = ''] = /^(\w+) (.*)$/.exec(job) ?? []
    return nowMs >= untilMs || !isKind(kind) || present[kind].includes(thing) !== (kind === 'logout')
  })
}

function isKind(word: string): word is Kind {
  return ['discovery', 'record', 'login', 'logout'].includes(word)
}

/** The endpoint a session belongs to, as the ledger has it. */
export function sessionKey({ persistentPortal, iface }: IscsiSession): string {
  return endpointKey({ portal: persistentPortal, iface })
}

// The one clock that all processes of a host share and that never jumps.
async function uptimeMs(files: Files): Promise<number> {
  return Number.parseFloat((await files.read('/proc/uptime')) ?? '0') * SECOND_MS
}
