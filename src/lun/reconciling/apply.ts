import type { FailedStep } from '../../core/error-details.ts'
import type { Observer } from '../../core/event.ts'
import { iqn } from '../../core/iqn.ts'
import { collectFailures } from '../../flow/collect.ts'
import { releaseAbandoned } from '../../flow/link-lock.ts'
import type { Context } from '../context.ts'
import { detachLocked } from '../detach.ts'
import { settleAlone } from '../detaching/discoveries.ts'
import { leaveTarget } from '../detaching/leave.ts'
import { restoreQueueing } from '../detaching/queueing.ts'
import { withTarget } from '../locks.ts'
import { OPERATION_TIMEOUT_MS, runOnLun } from '../operation.ts'
import type { ReconcileAction } from './action.ts'
import { isStillGone } from './plan.ts'

interface ActionOptions {
  readonly onEvent?: Observer | undefined
  readonly signal: AbortSignal
}

/** Does what is to be done, one after the other, and answers what failed. */
export async function applyActions(
  context: Context,
  actions: readonly ReconcileAction[],
  options: ActionOptions
): Promise<readonly FailedStep[]> {
  const failed = await collectFailures(
    actions.map(action => [describeAction(action), async () => await applyAction(context, action, options)])
  )
  options.signal.throwIfAborted()
  return failed
}

// Each one looks again, under the lock, whether it is still wanted.
async function applyAction(context: Context, action: ReconcileAction, options: ActionOptions): Promise<void> {
  switch (action.kind) {
    case 'release':
      await release(context, action, options)
      break
    case 'forget':
      await forget(context, action, options)
      break
    case 'requeue':
      await requeue(context, action, options)
      break
    case 'leave':
      await leave(context, action.target, options)
      break
    case 'unlock':
      await releaseAbandoned(context.host, action.path, options)
      break
    case 'discard':
      await context.nodeDb.removeDrafts(options)
      break
    case 'restore':
      await restore(context, action.portal, options)
      break
    case 'keep':
      await keep(context, action.target, options)
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

async function requeue(context: Context, place: Place, options: ActionOptions): Promise<void> {
  await runOnLun(context.host, operationOn(place), options, async operation => {
    await restoreQueueing(context, operation)
    if ((await context.journal.lun(operation))?.unqueued !== undefined) throw new Error('its map does not queue yet')
  })
}

/** A record that stays is told as what failed, since nothing is noted of it any more. */
async function restore(context: Context, portal: string, { signal }: ActionOptions): Promise<void> {
  const kept: string[] = []
  const limits = { signal, timeoutMs: OPERATION_TIMEOUT_MS }
  await settleAlone(context, portal, limits, message => kept.push(message))
  if (kept.length > 0) throw new Error(kept.join('; '))
}

async function keep({ host, journal }: Context, name: string, { signal }: ActionOptions): Promise<void> {
  const target = iqn(name)
  await withTarget(host, target, { signal, timeoutMs: OPERATION_TIMEOUT_MS }, async () => {
    await journal.moveFormerNotes(target)
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

/** As {@link FailedStep} names it. */
export function describeAction(action: ReconcileAction): string {
  switch (action.kind) {
    case 'release':
      return `release LUN ${action.lun} of ${action.target} for ${action.owner}`
    case 'forget':
      return `forget LUN ${action.lun} of ${action.target}`
    case 'requeue':
      return `have the map of LUN ${action.lun} of ${action.target} queue again`
    case 'leave':
      return `leave ${action.target}`
    case 'restore':
      return `put back the discovery record of ${action.portal}`
    case 'keep':
      return `note for good the node records of ${action.target}`
    case 'unlock':
    case 'discard':
      return `remove ${action.path}`
  }
}
