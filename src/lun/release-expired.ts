import type { FailedStep } from '../core/error-details.ts'
import { checkOptions } from '../core/options.ts'
import { withDeadline } from '../flow/deadline.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import { uptimeMs } from './journal/uptime.ts'
import type { LunOptions } from './operation.ts'
import type { ReconcileAction } from './reconciling/action.ts'
import { applyActions, describeAction } from './reconciling/apply.ts'
import { planExpired } from './reconciling/plan.ts'

/** Options of {@link releaseExpired}. */
export interface ReleaseExpiredOptions extends Omit<LunOptions, 'owner'> {
  /** For all of it. Default 120 000. */
  readonly timeoutMs?: number | undefined
}

/** What became of holds whose time was over. */
export interface ExpiredHolds {
  /** The holds that ended; a LUN goes with its last one. */
  readonly released: readonly Extract<ReconcileAction, { readonly kind: 'release' }>[]
  /** Those that did not, and why, such as a device in use; they are tried again by the next call. */
  readonly failed: readonly FailedStep[]
  /** When the next hold expires, counted from now, so that a caller can wait. Undefined while there is none. */
  readonly nextInMs: number | undefined
}

const TIMEOUT_MS = 120_000

/**
 * Ends every hold on this host whose time is over, of `prewarm` and of `lingerMs`, and detaches the LUNs that nobody else
 * holds. It is the part of `reconcile` that needs no xenstore. Who made a hold does not matter, nor whether that process
 * lives.
 *
 * @throws {@link LunError} `TIMEOUT`; what fails of a single LUN is in `failed`
 * @example
 * ```ts
 * import { createNodeClock, releaseExpired } from 'xen-lun'
 *
 * const clock = createNodeClock()
 * for (;;) {
 *   const { failed, nextInMs } = await releaseExpired()
 *   for (const { step, message } of failed) console.error(step, message)
 *   if (nextInMs === undefined) break
 *   await clock.sleep(nextInMs)
 * }
 * ```
 */
export async function releaseExpired(options: ReleaseExpiredOptions = {}): Promise<ExpiredHolds> {
  const { timeoutMs = TIMEOUT_MS, signal, onEvent } = checkOptions(options)
  const host = options.host ?? createLocalHost()
  const context = createContext(host)
  const deadline = { signal, timeoutMs, awaited: () => 'the release of expired holds' }
  return await withDeadline(host.clock, deadline, async stop => {
    const actions = await planExpired(context)
    const failed = await applyActions(context, actions, { onEvent, signal: stop })
    const released = actions
      .filter(action => action.kind === 'release')
      .filter(action => failed.every(({ step }) => step !== describeAction(action)))
    return { released, failed, nextInMs: await nextExpiryMs(context) }
  })
}

async function nextExpiryMs({ journal, host }: Context): Promise<number | undefined> {
  const nowMs = await uptimeMs(host.files)
  const current = (await journal.luns()).filter(({ isStale }) => !isStale)
  const ends = current.flatMap(({ entry }) =>
    [...(entry?.owners.values() ?? [])].map(({ expiry }) => expiry?.untilMs ?? 0)
  )
  const next = Math.min(...ends.filter(untilMs => untilMs > nowMs))
  return Number.isFinite(next) ? Math.ceil(next - nowMs) : undefined
}
