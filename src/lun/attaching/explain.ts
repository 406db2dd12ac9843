import { isLunError, LunError } from '../../core/error.ts'
import { formatPortal } from '../../core/portal.ts'
import type { Context } from '../context.ts'
import type { AttachWish, Endpoint } from '../request.ts'

const ASK_MS = 3000

/**
 * iscsiadm reports "connection timed out" also for a target the portal does not know, so a login that failed like that
 * is followed by a question: a portal that answers without naming the target has none of that name for us.
 */
export async function explainLoginFailure(
  { iscsiadm }: Context,
  { target }: AttachWish,
  endpoints: readonly Endpoint[],
  error: unknown
): Promise<unknown> {
  if (!isLunError(error, 'ISCSI_PORTAL_UNREACHABLE')) return error
  const portals = new Map(endpoints.map(({ portal }) => [formatPortal(portal), portal]))
  const answers = await Promise.all(
    [...portals].map(async ([name, portal]) => {
      const offers = await iscsiadm.discover({ portal, timeoutMs: ASK_MS }).catch(() => undefined)
      return offers === undefined ? [] : [{ name, isOffered: offers.some(offer => offer.target === target) }]
    })
  )
  const answered = answers.flat()
  const [first] = answered
  if (first === undefined || answered.some(({ isOffered }) => isOffered)) return error
  const message = `${answered.map(({ name }) => name).join(' and ')} answers, but offers no ${target} to this initiator`
  return new LunError(
    'ISCSI_LOGIN_REJECTED',
    message,
    { target, portal: first.name, exitCode: undefined },
    { cause: error }
  )
}
