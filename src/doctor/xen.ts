import { isLunError } from '../core/error.ts'
import type { Files } from '../host/files.ts'
import { createXenstore } from '../xenstore/xenstore.ts'
import type { Check } from './facts.ts'
import { error, ok, unknown, warning } from './finding.ts'
import { formatVersion, isIn, isOlder, readXenVersion, type XenVersion } from './xen-version.ts'

const NO_DOM0 = 'This is no Xen dom0.'
const ZERO_UUID = '00000000-0000-0000-0000-000000000000'

/** xenfs lists what a domain may do; where it is not mounted, dom0 is the domain whose UUID is zero. */
async function isDom0(files: Files): Promise<boolean> {
  const capabilities = await files.read('/proc/xen/capabilities')
  if (capabilities !== undefined) return capabilities.includes('control_d')
  const isXen = (await files.read('/sys/hypervisor/type'))?.trim() === 'xen'
  return isXen && (await files.read('/sys/hypervisor/uuid'))?.trim() === ZERO_UUID
}

/** The other checks of Xen have nothing to look at elsewhere. */
const inDom0 =
  (check: Check): Check =>
  async facts =>
    (await isDom0(facts.host.files)) ? await check(facts) : [unknown(NO_DOM0)]

export const checkDom0: Check = async ({ host }) =>
  (await isDom0(host.files)) ? [ok('This is a Xen dom0.')] : [unknown(NO_DOM0)]

/** The driver is there as a module or built in; both register on the bus of backends. */
export const checkBlkback: Check = inDom0(async ({ host }) => {
  for (const path of ['/sys/module/xen_blkback', '/sys/bus/xen-backend/drivers/vbd']) {
    if ((await host.files.stat(path)) !== undefined) return [ok('xen-blkback is loaded.')]
  }
  const advice = 'Run modprobe xen-blkback, and name it in /etc/modules-load.d for the next boot.'
  return [error('xen-blkback is not loaded: no guest gets a disk from a block device.', advice)]
})

export const checkXenstored: Check = inDom0(async ({ host, signal }) => {
  try {
    await createXenstore(host, { transport: 'commands' }).exists('/local/domain', { signal })
    return [ok('xenstored answers.')]
  } catch (problem) {
    if (!isLunError(problem, 'XENSTORE_UNAVAILABLE')) throw problem
    const advice = 'Install xenstore-utils and see why xenstored does not run; it cannot be started anew under guests.'
    return [error(`xenstored does not answer: ${problem.details.reason}.`, advice)]
  }
})

// Xen tools/libs/light/libxl_internal.h, LIBXL_HOTPLUG_TIMEOUT
const PATIENT_SINCE: XenVersion = [4, 6, 0]

/** libxl gives up a block script after 40 s; before 4.6 after 10 s. */
export const checkHotplugTimeout: Check = inDom0(async ({ host }) => {
  const version = await readXenVersion(host.files)
  if (version === undefined) return [unknown('Xen does not tell its version in /sys/hypervisor/version.')]
  const name = formatVersion(version)
  if (!isOlder(version, PATIENT_SINCE)) return [ok(`Xen ${name} gives a block script 40 s.`)]
  const message = `Xen ${name} gives a block script 10 s, less than an attach over a dead path may take.`
  return [warning(message, 'Attach LUNs before the guest is started, or use Xen 4.6 or newer.')]
})

// From the first version on, up to but not including the second.
const SHARING_BROKEN: readonly (readonly [XenVersion, XenVersion])[] = [
  [
    [4, 7, 0],
    [4, 16, 8],
  ],
  [
    [4, 17, 0],
    [4, 17, 5],
  ],
  [
    [4, 18, 0],
    [4, 18, 1],
  ],
]

/** The check_sharing() of Xen's tools/hotplug/Linux/block finds no other guest in these versions. */
export const checkBlockSharing: Check = inDom0(async ({ host }) => {
  const version = await readXenVersion(host.files)
  if (version === undefined) return [unknown('Xen does not tell its version in /sys/hypervisor/version.')]
  const name = formatVersion(version)
  if (!SHARING_BROKEN.some(range => isIn(version, range))) {
    return [ok(`The block script of Xen ${name} keeps two guests from one device.`)]
  }
  const message = `The block script of Xen ${name} does not notice that another guest has a device already.`
  const advice = "Attach through this library, whose own check is then the only one, or update Xen's tools."
  return [warning(message, advice)]
})

/** What shows that xapi manages this host, or the one below `root`: XenServer and XCP-ng. */
export async function findXapi(files: Files, root = ''): Promise<string | undefined> {
  for (const path of ['/etc/xensource-inventory', '/opt/xensource']) {
    if ((await files.stat(`${root}${path}`)) !== undefined) return `${root}${path}`
  }
  return undefined
}

/** Not only in dom0 of a Xen that runs. */
export const checkXapi: Check = async ({ host }) => {
  const path = await findXapi(host.files)
  if (path === undefined) return [ok('No xapi manages the storage of this host.')]
  const message = 'This is a host of xapi, whose storage manager owns the iSCSI sessions and the multipath maps.'
  const advice = 'Attach LUNs as storage repositories (xe sr-create type=lvmoiscsi), not with this library.'
  return [error(message, advice, path)]
}
