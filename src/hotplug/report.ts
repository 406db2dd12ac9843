import { isLunError } from '../core/error.ts'
import type { Clock } from '../host/clock.ts'
import type { Xenstore } from '../xenstore/types.ts'
import { KEYS } from './call.ts'
import { inTime } from './in-time.ts'

/**
 * Leaves the reason of a failure where the toolstack looks for it: `hotplug-error`, and `hotplug-status` `error`, or
 * `busy` for a volume that another domain has, in one transaction. A backend directory that is gone is not made again.
 * Resolves with what kept it from writing, if anything did; it waits for `timeoutMs` at most.
 */
export async function reportFailure(
  { xenstore, clock }: { readonly xenstore: Xenstore; readonly clock: Clock },
  backend: string,
  failure: { readonly error: unknown; readonly line: string },
  timeoutMs: number
): Promise<string | undefined> {
  const status = isLunError(failure.error, 'LUN_SHARED') ? 'busy' : 'error'
  const write = async (): Promise<void> => {
    if (!(await xenstore.exists(backend))) return
    await xenstore.write({ [`${backend}/${KEYS.error}`]: failure.line, [`${backend}/${KEYS.status}`]: status })
  }
  const overdue = (): Error => new Error(`xenstored did not answer within ${timeoutMs} ms`)
  try {
    await inTime({ clock, limitMs: timeoutMs, overdue }, write())
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
