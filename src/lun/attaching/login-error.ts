import { isLunError, LunError } from '../../core/error.ts'
import { formatPortal } from '../../core/portal.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { AttachWish, Endpoint } from '../request.ts'

/** A call for all portals fails with one code and names none; this says which portal it is about. */
export function loginError({ target, chap }: AttachWish, { portal }: Endpoint, error: unknown): unknown {
  const at = formatPortal(portal)
  if (isLunError(error, 'ISCSI_AUTH_FAILED')) {
    return new LunError('ISCSI_AUTH_FAILED', `${at} refused the credentials for ${target}`, { target, portal: at })
  }
  if (isLunError(error, 'ISCSI_LOGIN_REJECTED')) {
    const { exitCode } = error.details
    // iscsiadm has one exit code for both.
    const doubt = chap?.mutual === undefined ? '' : ', or did not prove itself by mutual CHAP'
    const message = `${at} refused the login to ${target}${doubt}`
    return new LunError('ISCSI_LOGIN_REJECTED', message, { target, portal: at, exitCode })
  }
  if (error === undefined || isLunError(error, 'ISCSI_PORTAL_UNREACHABLE')) {
    const message = `${at} did not complete the login to ${target}`
    return new LunError('ISCSI_PORTAL_UNREACHABLE', message, { target, portal: at })
  }
  return error
}

/** A session that is there and carries nothing: iscsid makes no other beside it. */
export function unusable(
  { target }: AttachWish,
  { portal }: Endpoint,
  { sid, state, rawState }: IscsiSession
): LunError<'ISCSI_SESSION_UNUSABLE'> {
  const at = formatPortal(portal)
  const what = state === 'unbound' ? 'its target is unbound, so only a logout will help' : `its state is ${rawState}`
  const message = `session ${sid} with ${target} at ${at} carries nothing, and iscsid makes no other beside it: ${what}`
  return new LunError('ISCSI_SESSION_UNUSABLE', message, { target, portal: at, sid, state })
}
