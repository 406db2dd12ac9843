import type { FailedStep } from '../core/error-details.ts'
import type { Iqn } from '../core/iqn.ts'
import { collectFailures } from '../flow/collect.ts'
import { withDeadline } from '../flow/deadline.ts'
import { releaseAbandoned } from '../flow/link-lock.ts'
import { createLocalHost } from '../host/local.ts'
import { type Context, createContext } from './context.ts'
import { detachLocked } from './detach.ts'
import { leaveTarget } from './leave.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, runOnLun } from './operation.ts'
import { findNotices, type ReconcileNotice } from './reconcile-notices.ts'
import { isStillGone, planActions, type ReconcileAction } from './reconcile-plan.ts'

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
 * `apply` does, what makes them agree: attaches and detaches that died half-way, LUNs whose guest is gone, logins that
 * came up after whoever asked for them was killed, locks of dead processes. It touches only what this library made, and
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
  const { apply = false, timeoutMs = TIMEOUT_MS, signal } = options
  const host = options.host ?? createLocalHost()
  const context = createContext(host)
  const deadline = { signal, timeoutMs, awaited: () => 'the reconciliation of this host' }
  return await withDeadline(host.clock, deadline, async stop => {
    await context.xenstore.list('/local/domain', { signal: stop })
    const [actions, notices] = [await planActions(context), await findNotices(context)]
    if (!apply) return { isApplied: false, actions, notices, failed: [] }
    const failed = await collectFailures(
      actions.map(action => [
        describe(action),
        async () => await applyAction(context, action, { ...options, signal: stop }),
      ])
    )
    stop.throwIfAborted()
    return { isApplied: true, actions, notices, failed }
  })
}

type ActionOptions = Pick<ReconcileOptions, 'signal' | 'onEvent'>

// Each one looks again, under the lock, whether it is still wanted.
async function applyAction(context: Context, action: ReconcileAction, options: ActionOptions): Promise<void> {
  const { host, journal } = context
  switch (action.kind) {
    case 'release':
    case 'forget': {
      const place = { target: action.target as Iqn, lun: action.lun }
      const owner = action.kind === 'release' ? action.owner : undefined
      await runOnLun(host, { operation: 'reconcile', ...place }, { ...options, owner }, async operation => {
        if (action.kind === 'release') {
          if (await isStillGone(context, place, action.owner)) await detachLocked(context, operation, {})
        } else if ((await journal.lun(place)) === undefined) await journal.forgetLun(place)
      })
      return
    }
    case 'leave': {
      const target = action.target as Iqn
      const signal = options.signal ?? new AbortController().signal
      const place = { target, signal, timeoutMs: OPERATION_TIMEOUT_MS }
      const step = async <T>(_: unknown, task: () => Promise<T>): Promise<T> => await task()
      const { failed } = await leaveTarget(context, { ...place, step }, { removeMs: OPERATION_TIMEOUT_MS })
      const [first] = failed
      if (first !== undefined)
        throw new Error(failed.map(({ step: what, message }) => `${what}: ${message}`).join('; '))
      return
    }
    case 'unlock':
      await releaseAbandoned(host, action.path, options)
  }
}

function describe(action: ReconcileAction): string {
  switch (action.kind) {
    case 'release':
      return `release LUN ${action.lun} of ${action.target} for ${action.owner}`
    case 'forget':
      return `forget LUN ${action.lun} of ${action.target}`
    case 'leave':
      return `leave ${action.target}`
    case 'unlock':
      return `remove ${action.path}`
  }
}
