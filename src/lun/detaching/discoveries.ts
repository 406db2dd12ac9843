import type { OperationOptions } from '../../core/options.ts'
import { formatPortal, type Portal, portal, samePortal } from '../../core/portal.ts'
import { collectFailures } from '../../flow/collect.ts'
import { until } from '../../flow/until.ts'
import { formatProcessId, isAlive, parseProcessId, thisProcess } from '../../host/process-id.ts'
import { standsFor } from '../../iscsi/db-path.ts'
import { withDiscovery } from '../../iscsi/discovery.ts'
import { type DiscoveryNotes, settleDiscovery } from '../../iscsi/discovery-record.ts'
import { readRecordDefaults } from '../../iscsi/iscsid-conf.ts'
import { isFreshlyMade } from '../../iscsi/own-record.ts'
import type { StandingRecord } from '../../iscsi/standing-record.ts'
import type { Context } from '../context.ts'
import { MAKING_MS, type NotedDiscovery } from '../journal/discoveries.ts'
import { uptimeMs } from '../journal/uptime.ts'
import { STAYS } from './own-records.ts'

/** Hears of a record that stays though it may have been made here. */
export type OnKept = (message: string) => void

/** Notes what a discovery with credentials does to the record of its portal, and puts right what one who died has left. */
export function notesOfDiscovery(
  context: Context,
  at: Portal,
  options: OperationOptions,
  onKept: OnKept
): DiscoveryNotes {
  const { journal, host } = context
  const entry = async () => ({
    portal: at,
    process: formatProcessId(await thisProcess(host.files)),
    untilMs: (await uptimeMs(host.files)) + MAKING_MS,
  })
  return {
    begin: async () => await settle(context, at, options, onKept),
    making: async () => await journal.noteDiscovery(await entry()),
    changing: async note => await journal.noteDiscovery({ ...(await entry()), note }),
    over: async () => await journal.forgetDiscovery(at),
  }
}

/** A discovery of which something is left. */
export interface AbandonedDiscovery {
  readonly portal: Portal
  /** Completes "because …". */
  readonly why: string
}

/** Discoveries whose processes have died before they had put the record back, or of an earlier boot. */
export async function abandonedDiscoveries({ journal, host }: Context): Promise<readonly AbandonedDiscovery[]> {
  const noted = await Promise.all(
    (await journal.discoveries()).map(async ({ portal: at, process, isStale }) => {
      const id = parseProcessId(process)
      const isOver = isStale || id === undefined || !(await isAlive(host.files, id))
      return isOver ? [{ portal: at, why: `process ${id?.pid ?? '?'} died while it asked the portal for targets` }] : []
    })
  )
  const drafts = (await journal.discoveryDrafts()).map(at => ({ portal: at, why: 'only a draft of its note is there' }))
  return [...noted.flat(), ...drafts]
}

/** Puts right what discoveries that were abandoned have left. What cannot be put right stays noted. */
export async function settleDiscoveries(
  context: Context,
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  onKept: OnKept
): Promise<void> {
  await collectFailures(
    (await abandonedDiscoveries(context)).map(({ portal: at }) => [
      `put back the discovery record of ${formatPortal(at)}`,
      async () => await settleAlone(context, formatPortal(at), limits, onKept),
    ])
  )
}

/** Puts right what was left of the discoveries of one portal, while there is no other one. */
export async function settleAlone(
  context: Context,
  at: string,
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  onKept: OnKept
): Promise<void> {
  const task = async (): Promise<void> => await settle(context, portal(at), limits, onKept)
  await withDiscovery(context.host, portal(at), limits, task)
}

/** Nobody else asks the portal: whatever is noted of it, its process has died, or could not put it right. */
async function settle(context: Context, at: Portal, options: OperationOptions, onKept: OnKept): Promise<void> {
  const { journal, nodeDb } = context
  const takeBack = async (noted: NotedDiscovery): Promise<boolean> =>
    noted.note === undefined
      ? await removeMade(context, noted, options)
      : await settleDiscovery(nodeDb, noted.note, options)
  const noted = await journal.discovery(at)
  const isSettled = noted === undefined || (await takeBack(noted))
  if (!isSettled) onKept(`the discovery record of ${formatPortal(at)} ${STAYS}`)
  await journal.forgetDiscovery(at)
}

/** Of a record that was about to be made: iscsiadm goes on though who asked it dies. False for one that stays. */
async function removeMade(
  { host, nodeDb }: Context,
  { portal: at, isStale, untilMs, within }: NotedDiscovery,
  options: OperationOptions
): Promise<boolean> {
  const find = async (): Promise<string | undefined> => {
    const { records, broken } = await nodeDb.discoveryRecords()
    const known = records.find(record => samePortal(record.portal, at))?.path
    return known ?? broken.find(({ path }) => samePortal(standsFor(path)?.portal ?? NOWHERE, at))?.path
  }
  const isOver = async (): Promise<boolean> =>
    isStale || (await uptimeMs(host.files)) >= untilMs || (await find()) !== undefined
  const awaited = `the discovery record of ${formatPortal(at)}, which a process that is gone was making`
  await until(host.clock, isOver, { awaited, timeoutMs: Number.MAX_SAFE_INTEGER, ...options })
  const path = await find()
  if (path === undefined) return true
  const defaults = await readRecordDefaults(host.files)
  let isKept = false
  const onlyIf = (found: StandingRecord): boolean => {
    isKept = !isFreshlyMade(found, within, defaults)
    return !isKept
  }
  await nodeDb.remove(path, { ...options, onlyIf })
  return !isKept
}

const NOWHERE: Portal = { host: '', port: 0 }
