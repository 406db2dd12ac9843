import type { FailedStep } from '../core/error-details.ts'
import { iqn } from '../core/iqn.ts'
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
        async () => await applyAction(context, action, { onEvent: options.onEvent, signal: stop }),
      ])
    )
    stop.throwIfAborted()
    return { isApplied: true, actions, notices, failed }
  })
}

type ActionOptions = Pick<ReconcileOptions, 'onEvent'> & { readonly signal: AbortSignal }

// Each one looks again, under the lock, whether it is still wanted.
async function applyAction(context: Context, action: ReconcileAction, options: ActionOptions): Promise<void> {
  switch (action.kind) {
    case 'release':
      await release(context, action, options)
      break
    case 'forget':
      await forget(context, action, options)
      break
    case 'leave':
      await leave(context, action.target, options)
      break
    case 'unlock':
      await releaseAbandoned(context.host, action.path, options)
      break
  }
}

type Place = Pick<Extract<ReconcileAction, { readonly kind: 'forget' }>, 'target' | 'lun'>

async function release(
  context: Context,
  place: Place & { readonly owner: string },
  options: ActionOptions
): Promise<void> {
  const { owner } = place
  await runOnLun(context.host, operationOn(place), { ...options, owner }, async operation => {
    if (await isStillGone(context, operation, owner)) await detachLocked(context, operation, {})
  })
}

async function forget({ host, journal }: Context, place: Place, options: ActionOptions): Promise<void> {
  await runOnLun(host, operationOn(place), options, async operation => {
    if ((await journal.lun(operation)) === undefined) await journal.forgetLun(operation)
  })
}

function operationOn({ target, lun }: Place): Parameters<typeof runOnLun>[1] {
  return { operation: 'reconcile', target: iqn(target), lun }
}

async function leave(context: Context, name: string, { signal }: ActionOptions): Promise<void> {
  const timeoutMs = OPERATION_TIMEOUT_MS
  const step = async <T>(_: unknown, task: () => Promise<T>): Promise<T> => await task()
  const { failed } = await leaveTarget(context, { target: iqn(name), signal, timeoutMs, step }, { removeMs: timeoutMs })
  if (failed.length > 0) throw new Error(failed.map(({ step: what, message }) => `${what}: ${message}`).join('; '))
}

/** One line for people. */
export function describe(action: ReconcileAction): string {
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
