import { fields, integer, invalid } from '../core/check.ts'
import { LunError } from '../core/error.ts'
import { checkOptions, type OperationOptions } from '../core/options.ts'
import { vdevName, vdevNumber } from '../core/vdev.ts'
import type { Host } from '../host/host.ts'
import { createLocalHost } from '../host/local.ts'
import { type DiskBackend, diskFolder, findDiskBackend, readDiskBackend } from './disk-backend.ts'
import { lookOnChange } from './look-on-change.ts'
import type { Xenstore } from './types.ts'
import { createXenstore } from './xenstore.ts'

/** Which disk of which domain. */
export interface BackendRequest {
  /** Number of the guest. */
  readonly domid: number
  /** The guest's disk: `xvda`, `xvda1`, `sda`, `hda`, or its number, `51712`. */
  readonly vdev: string | number
  /** The domain that must serve it; `INVALID_INPUT` if another one does. Default: any. */
  readonly backendDomid?: number | undefined
}

/** How to wait. */
export interface BackendOptions extends OperationOptions {
  /** Default 45 000: Xen ends a hotplug script after 40 s. */
  readonly timeoutMs?: number | undefined
  /** Where to look. Default: this machine. */
  readonly host?: Host | undefined
}

/** A disk that its backend serves. */
export interface ConnectedBackend {
  /** `/local/domain/1/backend/vbd/5/51712` */
  readonly backendPath: string
  /** Number of the device, in the backend's domain. */
  readonly physicalDevice: { readonly major: number; readonly minor: number }
  /** Its path, in the backend's domain, if the hotplug script says. */
  readonly physicalDevicePath: string | undefined
}

const TIMEOUT_MS = 45_000
// DOMID_FIRST_RESERVED of Xen's public/xen.h
const MAX_DOMID = 0x7fef

/**
 * Waits until the hotplug script of a guest's disk is through, in whatever domain it runs. `xl` waits for those of its own
 * domain only: with a driver domain `xl create` and `xl block-attach` succeed before its script has ended, and never say
 * that it failed. Reads what the toolstack notes for itself, not what the guest can write.
 *
 * @throws {@link LunError} `BACKEND_FAILED` with the reason the script gave; `BACKEND_GONE` when there is no such domain,
 * or it ends, or the disk is taken away; `TIMEOUT`, whose `awaited` says how far it got; `XENSTORE_UNAVAILABLE`,
 * `INVALID_INPUT`; `signal.reason` on abort
 * @example
 * ```ts
 * import { isLunError, waitForBackend } from 'xen-lun'
 *
 * try {
 *   const { backendPath } = await waitForBackend({ domid: 5, vdev: 'xvda' })
 *   console.log(`${backendPath} serves it`)
 * } catch (error) {
 *   if (!isLunError(error, 'BACKEND_FAILED')) throw error
 *   console.error(`destroy domain 5: its disk failed: ${error.details.reason}`)
 * }
 * ```
 */
export async function waitForBackend(request: BackendRequest, options: BackendOptions = {}): Promise<ConnectedBackend> {
  fields(request, 'request')
  const { timeoutMs = TIMEOUT_MS, signal, host = createLocalHost() } = checkOptions(options)
  const disk = {
    domid: integer(request.domid, 'domid', 0, MAX_DOMID),
    devid: vdevNumber(request.vdev),
    backendDomid:
      request.backendDomid === undefined ? undefined : integer(request.backendDomid, 'backendDomid', 0, MAX_DOMID),
  }
  await using xenstore = createXenstore(host)
  const { look, awaited } = createLook(xenstore, disk)
  const paths = [diskFolder(disk.domid, disk.devid), '@releaseDomain']
  return await lookOnChange(xenstore, host.clock, { paths, awaited, timeoutMs, signal }, look)
}

interface Disk {
  readonly domid: number
  readonly devid: number
  readonly backendDomid: number | undefined
}

interface BackendLook {
  readonly look: (watch: (path: string) => void) => Promise<ConnectedBackend | undefined>
  readonly awaited: () => string
}

function createLook(xenstore: Xenstore, { domid, devid, backendDomid }: Disk): BackendLook {
  const vdev = vdevName(devid)
  const name = `${vdev} of domain ${domid}`
  let backendPath: string | undefined
  let isKnown = false
  let awaited = `xenstored to tell of ${name}`
  const gone = (reason: string): LunError<'BACKEND_GONE'> =>
    new LunError('BACKEND_GONE', `${name}: ${reason}`, { domid, vdev, backendPath, reason })
  const look: BackendLook['look'] = async watch => {
    const [isAlive, path] = await Promise.all([
      xenstore.exists(`/local/domain/${domid}`),
      findDiskBackend(xenstore, domid, devid),
    ])
    if (!isAlive) throw gone(isKnown ? 'the domain has ended' : 'there is no such domain')
    isKnown = true
    if (path === undefined && backendPath !== undefined) throw gone(`${backendPath} was removed`)
    awaited = `the toolstack to give ${name} a backend`
    if (path === undefined) return undefined
    if (backendDomid !== undefined && !path.startsWith(`/local/domain/${backendDomid}/`)) {
      throw invalid('backendDomid', backendDomid, `does not serve ${name}: ${path} does`)
    }
    backendPath = path
    watch(path)
    const backend = await readDiskBackend(xenstore, path)
    if (backend === undefined) throw gone(`${path} was removed`)
    awaited = `the hotplug script of ${path}, for ${name}: hotplug-status is ${backend.hotplugStatus ?? 'not there yet'}`
    return judge(backend, { domid, vdev, backendPath: path })
  }
  return { look, awaited: () => awaited }
}

type Place = { readonly domid: number; readonly vdev: string; readonly backendPath: string }

/** Undefined: the script is not through. One that fails writes reason and status together, one that succeeds the status last. */
function judge(
  { hotplugStatus: status, hotplugError, physicalDevice, physicalDevicePath }: DiskBackend,
  place: Place
): ConnectedBackend | undefined {
  if (status === 'connected') {
    const { backendPath } = place
    return physicalDevice === undefined ? undefined : { backendPath, physicalDevice, physicalDevicePath }
  }
  if (status === undefined && hotplugError === undefined) return undefined
  const reason = hotplugError ?? 'the script gave no reason'
  const message = `the hotplug script of ${place.backendPath} failed: ${reason}`
  throw new LunError('BACKEND_FAILED', message, { ...place, status: status ?? 'error', reason })
}
