import { quoted } from '../core/check.ts'
import { LunError } from '../core/error.ts'

export function notFound(path: string): LunError<'XENSTORE_NOT_FOUND'> {
  return new LunError('XENSTORE_NOT_FOUND', `xenstore: there is no ${path}`, { path })
}

/** The answer, where there is one. */
export function found<T>(value: T | undefined, path: string): T {
  if (value === undefined) throw notFound(path)
  return value
}

export function denied(path: string): LunError<'XENSTORE_ACCESS_DENIED'> {
  return new LunError('XENSTORE_ACCESS_DENIED', `xenstore: xenstored refuses access to ${path}`, { path })
}

export function conflict(path: string): LunError<'XENSTORE_CONFLICT'> {
  return new LunError('XENSTORE_CONFLICT', `xenstore: others change ${path} all the time`, { path })
}

/** The error for what xenstored cannot take. */
export function xenstoreInvalid(path: unknown, reason: string): LunError<'XENSTORE_INVALID'> {
  const shown = quoted(path)
  return new LunError('XENSTORE_INVALID', `xenstore: ${shown} ${reason}`, { path: shown, reason })
}

export function unavailable(reason: string, options?: ErrorOptions): LunError<'XENSTORE_UNAVAILABLE'> {
  return new LunError('XENSTORE_UNAVAILABLE', `xenstore: ${reason}`, { reason }, options)
}

/** The error for what Xen's commands cannot do. */
export function needsSocket(what: string): LunError<'XENSTORE_UNAVAILABLE'> {
  return unavailable(`${what} needs the socket of xenstored: the xenstore-* commands cannot do it`)
}

/** What a refusal by name means (xsd_errors in xen/include/public/io/xs_wire.h). A name nobody knows explains nothing. */
export function refusal(name: string, path: string): LunError {
  switch (name) {
    case 'ENOENT':
      return notFound(path)
    case 'EACCES':
    case 'EPERM':
      return denied(path)
    case 'EINVAL':
    case 'E2BIG':
      return xenstoreInvalid(path, `is refused: ${name}`)
    case 'EAGAIN':
      return conflict(path)
    default:
      return unavailable(`xenstored answers ${quoted(name)} for ${path}`)
  }
}
