import { invalid } from '../core/check.ts'

/** The backend directory of one virtual disk. */
export interface XenbusPath {
  /** As the toolstack gave it; a relative one belongs to the domain this process runs in. */
  readonly path: string
  /** The domain that serves the disk, where the path says so. */
  readonly backendDomid: number | undefined
  /** The domain that gets it. */
  readonly domid: number
  /** Number of the virtual device: 51712 is xvda. */
  readonly devid: number
}

const SHAPE = /^(?:\/local\/domain\/(\d{1,5})\/)?backend\/vbd\/(\d{1,5})\/(\d{1,9})$/
// DOMID_FIRST_RESERVED in xen/include/public/xen.h
const MAX_DOMID = 0x7f_f0 - 1
// docs/misc/vbd-interface.txt: `1 << 28 | disk << 8 | partition`
const MAX_DEVID = (1 << 29) - 1

/**
 * Reads `XENBUS_PATH`: `backend/vbd/3/51712`, or the same below `/local/domain/N/`. It becomes part of paths that are
 * written and removed, so nothing else is let through, and numbers must be written as a toolstack writes them.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function parseXenbusPath(text: string | undefined): XenbusPath {
  const [path, backend, domid, devid] = SHAPE.exec(text ?? '') ?? []
  if (path === undefined || domid === undefined || devid === undefined) {
    throw invalid('XENBUS_PATH', text, 'is not the backend path of a virtual disk')
  }
  return {
    path,
    backendDomid: backend === undefined ? undefined : numberUpTo(MAX_DOMID, backend, path),
    domid: numberUpTo(MAX_DOMID, domid, path),
    devid: numberUpTo(MAX_DEVID, devid, path),
  }
}

function numberUpTo(max: number, digits: string, path: string): number {
  const value = Number(digits)
  if (value > max || String(value) !== digits)
    throw invalid('XENBUS_PATH', path, `holds ${digits}, which is no such number`)
  return value
}
