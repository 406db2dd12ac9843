import type { VolumeOnHost } from '../../block/volume.ts'
import { LunError } from '../../core/error.ts'
import { printable } from '../../core/printable.ts'
import type { Context } from '../context.ts'
import { domainOf } from '../journal/owner.ts'
import type { Operation } from '../operation.ts'
import { findSharers, isReadOnly, type Sharer } from './sharers.ts'

type Place = Pick<Operation, 'target' | 'lun' | 'owner'>

export interface SharingOptions {
  /**
   * False for one who only keeps the LUN: a domain may use this very LUN meanwhile, as it does when it migrates to its
   * own host. Through another target it may not, since its map would get new paths.
   */
  readonly isUser?: boolean
}

/**
 * Refuses a volume that another domain has, wholly or in part: by WWID, since one volume has a device number per path and
 * map, and is found through another target too; and by its devices, which one without a WWID has at least. The same VM
 * may have it twice, as it has while it migrates to its own host or reboots; two may read it. Answers the domains that may
 * have it.
 *
 * @throws {@link LunError} `LUN_SHARED`, `XENSTORE_UNAVAILABLE`
 */
export async function assertNotShared(
  context: Context,
  place: Place,
  volume: VolumeOnHost,
  { isUser = true }: SharingOptions = {}
): Promise<readonly number[]> {
  const served = isUser ? undefined : (await context.journal.lun(place))?.owners
  const sharers = (await findSharers(context, place, volume)).filter(({ backend }) => served?.has(backend) !== true)
  const mine = domainOf(place.owner)
  const open = sharers.filter(({ isClosing }) => !isClosing)
  const domids = [...(mine === undefined ? [] : [mine]), ...open.map(({ domid }) => domid)]
  if (sharers.length === 0) return domids
  const isReader = mine !== undefined && (await isReadOnly(context.xenstore, place.owner))
  for (const sharer of sharers) {
    if (isReader && sharer.isReadOnly) continue
    if (mine !== undefined && (await isSameVm(context, mine, sharer))) continue
    throw await shared(context, place, volume.wwid, sharer)
  }
  return domids
}

/** A domain; a stub domain, which runs the device model of another one and has its disks, with the one it serves. */
interface Vm {
  readonly domids: readonly number[]
  /** Every `vm` of them. */
  readonly names: readonly string[]
  /** That of the guest itself, which a domain that is being made or ends has not. */
  readonly guest: string | undefined
}

async function vmOf({ xenstore }: Context, domid: number): Promise<Vm> {
  const target = await xenstore.tryRead(`/local/domain/${domid}/target`)
  const domids = target !== undefined && /^\d{1,5}$/.test(target) ? [domid, Number(target)] : [domid]
  const names = await Promise.all(domids.map(async each => await xenstore.tryRead(`/local/domain/${each}/vm`)))
  return { domids, names: names.filter(name => name !== undefined), guest: names.at(-1) }
}

/** As same_vm() of Xen's block-common.sh; but one that does not say which VM it is counts only while its backend closes. */
async function isSameVm(context: Context, mine: number, { domid, isClosing }: Sharer): Promise<boolean> {
  if (mine === domid) return true
  const [here, there] = await Promise.all([vmOf(context, mine), vmOf(context, domid)])
  if (here.domids.some(each => there.domids.includes(each))) return true
  if (here.names.some(name => there.names.includes(name))) return true
  return there.guest === undefined && isClosing
}

async function shared(
  { xenstore }: Context,
  { target, lun }: Place,
  wwid: string | undefined,
  { domid, backend }: Sharer
): Promise<LunError<'LUN_SHARED'>> {
  const name = await xenstore.tryRead(`/local/domain/${domid}/name`).catch(() => undefined)
  const domain = name === undefined ? String(domid) : printable(name)
  const what = wwid === undefined ? 'a volume without a name' : `volume ${wwid}`
  const message = `LUN ${lun} of ${target} is the disk of domain ${domain} already (${backend}), ${what}`
  return new LunError('LUN_SHARED', message, { target, lun, wwid, domain, backend })
}

/** Xen's own scripts check for sharing, and write what they decide, under this lock: tools/hotplug/Linux/locking.sh. */
const XEN_BLOCK_LOCK = '/var/run/xen-hotplug/block'

/**
 * Checks for sharing and hands a volume over with no script of Xen's and no other attach in between.
 *
 * @throws {@link LunError} `LOCK_TIMEOUT`, and what `handOver` throws
 */
export async function guardSharing<T>(
  { host }: Context,
  operation: Operation,
  wwid: string | undefined,
  handOver: () => Promise<T>
): Promise<T> {
  if (domainOf(operation.owner) === undefined) return await handOver()
  // Who has another volume decides about something else.
  const lane = async (): Promise<string | undefined> => wwid
  return await host.locks.withLock(XEN_BLOCK_LOCK, handOver, { ...operation, lane })
}
