import type { FailedStep } from '../core/error-details.ts'
import { checkOptions } from '../core/options.ts'
import { withDeadline } from '../flow/deadline.ts'
import { createLocalHost } from '../host/local.ts'
import { createContext } from './context.ts'
import { unlessUnsafe } from './journal/unless-unsafe.ts'
import type { LunOptions } from './operation.ts'
import type { ReconcileAction } from './reconciling/action.ts'
import { applyActions } from './reconciling/apply.ts'
import { findNotices, type ReconcileNotice } from './reconciling/notices.ts'
import { planActions } from './reconciling/plan.ts'

export type { ReconcileAction, ReconcileNotice }

/** Options of {@link reconcile}. */
export interface ReconcileOptions extends Omit<LunOptions, 'owner'> {
  /** Does what is to be done. Default: only says what that is. */
  readonly apply?: boolean | undefined
  /** For all of it. Default 120 000. */
  readonly timeoutMs?: number | undefined
}

/** What is left of processes and guests that are gone, and what became of it. */
export interface Reconciliation {
  /** False for a dry run: nothing was changed. */
  readonly isApplied: boolean
  /** What is to be done, or was. */
  readonly actions: readonly ReconcileAction[]
  /** What is not ours to change. */
  readonly notices: readonly ReconcileNotice[]
  /** Actions that failed, and why; the others were done. */
  readonly failed: readonly FailedStep[]
}

const TIMEOUT_MS = 120_000

/**
 * Compares what this library noted of its work with sessions, devices, maps, records and xenstore, and says, or with
 * `apply` does, what makes them agree: attaches and detaches that died half-way, LUNs whose guest is gone, holds whose time
 * is over, logins that came up after whoever asked for them was killed, locks of dead processes. It touches only what this library made, and
 * nothing that is in use.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE`: then nobody can say whose guest is gone. `TIMEOUT`
 * @example
 * ```ts
 * import { reconcile } from 'xen-lun'
 *
 * const { actions } = await reconcile()
 * for (const action of actions) console.log(action.kind, action.why)
 * if (actions.length > 0) await reconcile({ apply: true })
 * ```
 */
export async function reconcile(options: ReconcileOptions = {}): Promise<Reconciliation> {
  const { apply = false, timeoutMs = TIMEOUT_MS, signal } = checkOptions(options)
  const host = options.host ?? createLocalHost()
  const context = createContext(host)
  const deadline = { signal, timeoutMs, awaited: () => 'the reconciliation of this host' }
  return await withDeadline(host.clock, deadline, async stop => {
    await context.xenstore.list('/local/domain', { signal: stop })
    // Whose notes somebody else could have written, nobody knows who holds what.
    const actions = await unlessUnsafe<readonly ReconcileAction[]>(planActions(context), [])
    const notices = await findNotices(context)
    if (!apply) return { isApplied: false, actions, notices, failed: [] }
    const failed = await applyActions(context, actions, { onEvent: options.onEvent, signal: stop })
    return { isApplied: true, actions, notices, failed }
  })
}
