import { volumeOf } from '../../block/volume.ts'
import { findXenBackends } from '../../block/xen-backends.ts'
import { LunError } from '../../core/error.ts'
import { printable } from '../../core/printable.ts'
import { isAlive, parseProcessId } from '../../host/process-id.ts'
import type { Context } from '../context.ts'
import type { Owner } from '../journal/entries.ts'
import { domainOf } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'

/** A domain that has the volume, or is about to get it. */
interface Sharer {
  readonly domid: number
  /** `backend/vbd/3/51712` */
  readonly backend: string
  readonly isReadOnly: boolean
  /** On its way out: of a domain that is gone, or rebooting. */
  readonly isClosing: boolean
}

type Place = Pick<Operation, 'target' | 'lun' | 'owner'>

export interface SharingOptions {
  /**
   * False for one who only keeps the LUN: a domain may use this very LUN meanwhile, as it does when it migrates to its
   * own host. Through another target it may not, since its map would get new paths.
   */
  readonly isUser?: boolean
}

/**
 * Refuses a volume that another domain has: by WWID, since one volume has a device number per path and map, and is
 * found through another target too. The same VM may have it twice, as it has while it migrates to its own host or
 * reboots; two may read it.
 *
 * @throws {@link LunError} `LUN_SHARED`, `XENSTORE_UNAVAILABLE`
 */
export async function assertNotShared(
  context: Context,
  place: Place,
  wwid: string,
  { isUser = true }: SharingOptions = {}
): Promise<void> {
  const served = isUser ? {} : ((await context.journal.lun(place))?.owners ?? {})
  const sharers = (await findSharers(context, place, wwid)).filter(({ backend }) => served[backend] === undefined)
  if (sharers.length === 0) return
  const mine = domainOf(place.owner)
  const isReader = mine !== undefined && (await isReadOnly(context, place.owner))
  for (const sharer of sharers) {
    if (isReader && sharer.isReadOnly) continue
    if (mine !== undefined && (await isSameVm(context, mine, sharer))) continue
    throw await shared(context, place, wwid, sharer)
  }
}

async function findSharers(context: Context, { owner }: Place, wwid: string): Promise<readonly Sharer[]> {
  const found = [
    ...(await connected(context, wwid)),
    ...(await journalled(context, wwid)),
    ...(domainOf(owner) === undefined ? [] : await emulated(context, wwid)),
  ]
  const distinct = new Map(found.toReversed().map(sharer => [sharer.backend, sharer]))
  return [...distinct.values()].filter(({ backend }) => backend !== owner)
}

/** What xen-blkback serves, from sysfs. */
async function connected({ host }: Context, wwid: string): Promise<readonly Sharer[]> {
  const backends = await findXenBackends(host.files)
  const volumes = await Promise.all(backends.map(async backend => await volumeOf(host.files, backend)))
  return backends
    .filter((_, n) => volumes[n] === wwid)
    .map(({ name, domid, mode, state }) => ({
      domid,
      backend: `backend/${name.replaceAll('-', '/')}`,
      isReadOnly: mode === 'r',
      isClosing: state === 'Closing' || state === 'Closed',
    }))
}

/** Backends this library has given the volume to, through whatever target, before blkback opens it. */
async function journalled(context: Context, wwid: string): Promise<readonly Sharer[]> {
  const luns = (await context.journal.luns()).filter(({ entry, isStale }) => !isStale && entry.wwid === wwid)
  const owners = luns.flatMap(({ entry }) => Object.entries(entry.owners))
  const sharers = await Promise.all(
    owners.map(async ([backend, owner]): Promise<readonly Sharer[]> => {
      const domid = domainOf(backend)
      if (domid === undefined || (await isToCheck(context, owner))) return []
      if (!(await context.xenstore.exists(backend))) return []
      return [{ domid, backend, isReadOnly: await isReadOnly(context, backend), isClosing: false }]
    })
  )
  return sharers.flat()
}

/** Has not checked for sharing yet, and finds us when it does: should both find each other, nobody would get the volume. */
async function isToCheck({ host }: Context, { state, process }: Owner): Promise<boolean> {
  const id = state === 'attaching' ? parseProcessId(process) : undefined
  return id !== undefined && (await isAlive(host.files, id))
}

/** Disks that QEMU serves: the kernel knows nothing of them. */
async function emulated(context: Context, wwid: string): Promise<readonly Sharer[]> {
  const { xenstore, host } = context
  const children = async (path: string): Promise<readonly string[]> =>
    (await xenstore.exists(path)) ? await xenstore.list(path) : []
  const found: Sharer[] = []
  for (const domid of await children('backend/qdisk')) {
    for (const devid of await children(`backend/qdisk/${domid}`)) {
      const backend = `backend/qdisk/${domid}/${devid}`
      // `FORMAT:PATH`
      const path = (await xenstore.tryRead(`${backend}/params`))?.replace(/^[^/]*:/, '') ?? ''
      const stat = path.startsWith('/') ? await host.files.stat(path) : undefined
      if (stat?.kind !== 'block' || (await volumeOf(host.files, stat.device)) !== wwid) continue
      found.push({
        domid: Number(domid),
        backend,
        isReadOnly: await isReadOnly(context, backend),
        isClosing: false,
      })
    }
  }
  return found
}

async function isReadOnly({ xenstore }: Context, backend: string): Promise<boolean> {
  return (await xenstore.tryRead(`${backend}/mode`)) === 'r'
}

/** A domain without `vm` is one that is being made or ends; it counts as the same only while its backend closes. */
async function isSameVm({ xenstore }: Context, mine: number, { domid, isClosing }: Sharer): Promise<boolean> {
  if (mine === domid) return true
  const [here, there] = await Promise.all(
    [mine, domid].map(async each => await xenstore.tryRead(`/local/domain/${each}/vm`))
  )
  return there === undefined ? isClosing : here === there
}

async function shared(
  { xenstore }: Context,
  { target, lun }: Place,
  wwid: string,
  { domid, backend }: Sharer
): Promise<LunError<'LUN_SHARED'>> {
  const name = await xenstore.tryRead(`/local/domain/${domid}/name`).catch(() => undefined)
  const domain = name === undefined ? String(domid) : printable(name)
  const message = `LUN ${lun} of ${target} is the disk of domain ${domain} already (${backend}), volume ${wwid}`
  return new LunError('LUN_SHARED', message, { target, lun, wwid, domain, backend })
}

/** Xen's own scripts check for sharing, and write what they decide, under this lock: tools/hotplug/Linux/locking.sh. */
const XEN_BLOCK_LOCK = '/var/run/xen-hotplug/block'

/**
 * Checks for sharing and hands the device over, with no script of Xen's and no other attach in between.
 *
 * @throws {@link LunError} `LUN_SHARED`, and what `handOver` throws
 */
export async function guardSharing<T>(
  context: Context,
  operation: Operation,
  wwid: string | undefined,
  options: SharingOptions,
  handOver: () => Promise<T>
): Promise<T> {
  const check = async (): Promise<T> => {
    if (wwid !== undefined) await assertNotShared(context, operation, wwid, options)
    return await handOver()
  }
  if (domainOf(operation.owner) === undefined) return await check()
  // Who has another volume decides about something else.
  const lane = async (): Promise<string | undefined> => wwid
  return await context.host.locks.withLock(XEN_BLOCK_LOCK, check, { ...operation, lane })
}
