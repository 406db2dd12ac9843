import { reconcile } from '../../lun/reconcile.ts'
import { describeAction } from '../../lun/reconciling/apply.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'

const SECOND_MS = 1000

export interface ReconcileArguments {
  readonly apply?: boolean
  /** Seconds. */
  readonly timeout?: number
}

/** A dry run that finds something to be done exits with 1, as does an action that failed. */
export async function reportReconcile(
  { host, signal }: Io,
  { apply = false, timeout }: ReconcileArguments
): Promise<Report> {
  const timeoutMs = timeout === undefined ? undefined : timeout * SECOND_MS
  const found = await reconcile({ host, signal, apply, timeoutMs })
  const { actions, notices, failed } = found
  const lines = [
    ...actions.map(action => `${apply ? 'action' : 'to do '}  ${describeAction(action)}: ${action.why}`),
    ...failed.map(({ step, message }) => `failed  ${step}: ${message}`),
    ...notices.map(({ message }) => `notice  ${message}`),
    summary(actions.length, failed.length, apply),
  ]
  return { json: found, lines, exitCode: failed.length > 0 || (!apply && actions.length > 0) ? 1 : 0 }
}

function summary(actions: number, failed: number, isApplied: boolean): string {
  if (actions === 0) return 'nothing to be done'
  return isApplied
    ? `${actions - failed} of ${actions} actions done`
    : `${actions} to be done: xen-lun reconcile --apply does it`
}
