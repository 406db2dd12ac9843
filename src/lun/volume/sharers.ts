import { findStack, liesOn, type VolumeOnHost } from '../../block/volume.ts'
import { readBackendStatus } from '../../block/xen-backends.ts'
import { isLunError } from '../../core/error.ts'
import { XENBUS_STATES } from '../../core/xenbus-state.ts'
import { isAlive, parseProcessId } from '../../host/process-id.ts'
import { createNativeXenstore } from '../../xenstore/native.ts'
import type { Xenstore } from '../../xenstore/types.ts'
import type { Context } from '../context.ts'
import type { Owner } from '../journal/entries.ts'
import type { LunPlace } from '../journal/journal.ts'
import { domainOf } from '../journal/owner.ts'
import { findServed } from './looks.ts'

/** A domain that has the volume or a part of it, or is about to get it. */
export interface Sharer {
  readonly domid: number
  /** `backend/vbd/3/51712` */
  readonly backend: string
  readonly isReadOnly: boolean
  /** On its way out: of a domain that is gone, or rebooting. It may still have something to write, as long as it is open. */
  readonly isClosing: boolean
}

type Place = LunPlace & { readonly owner: string }

/**
 * Every domain that has the volume: what blkback serves, what QEMU serves, and what this library gave away before anybody
 * opened it.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE`
 */
export async function findSharers(context: Context, place: Place, volume: VolumeOnHost): Promise<readonly Sharer[]> {
  const found = [
    ...(await connected(context, volume)),
    ...(await journalled(context, place, volume)),
    ...(await emulated(context, place, volume)),
  ]
  const distinct = new Map(found.toReversed().map(sharer => [sharer.backend, sharer]))
  return [...distinct.values()].filter(({ backend }) => backend !== place.owner)
}

async function describe(xenstore: Xenstore, place: Pick<Sharer, 'domid' | 'backend'>): Promise<Sharer> {
  const { backend } = place
  return {
    ...place,
    isReadOnly: await isReadOnly(xenstore, backend),
    isClosing: await isClosing(xenstore, backend),
  }
}

/** Whether a backend has lost its frontend: what is left of a domain that is gone, until its toolstack removes that. */
async function isClosing(xenstore: Xenstore, backend: string): Promise<boolean> {
  const state = XENBUS_STATES[Number(await xenstore.tryRead(`${backend}/state`))]
  return state === 'Closing' || state === 'Closed'
}

/** Whether a backend gives its domain a disk that cannot be written. */
export async function isReadOnly(xenstore: Xenstore, backend: string): Promise<boolean> {
  return (await xenstore.tryRead(`${backend}/mode`)) === 'r'
}

/** What xen-blkback serves, from sysfs. */
async function connected({ host }: Context, volume: VolumeOnHost): Promise<readonly Sharer[]> {
  const served = (await findServed(host)).filter(({ stack }) => liesOn(stack, volume))
  return await Promise.all(
    served.map(async ({ backend }) => {
      const { mode, state } = await readBackendStatus(host.files, backend)
      return {
        domid: backend.domid,
        backend: `backend/${backend.name.replaceAll('-', '/')}`,
        isReadOnly: mode === 'r',
        isClosing: state === 'Closing' || state === 'Closed',
      }
    })
  )
}

/** Backends this library has given the volume to, through whatever target, before blkback opens it. */
async function journalled(
  context: Context,
  { target, lun }: Place,
  { wwid }: VolumeOnHost
): Promise<readonly Sharer[]> {
  const luns = (await context.journal.luns()).filter(
    ({ entry, isStale, ...place }) =>
      !isStale && ((wwid !== undefined && entry?.wwid === wwid) || (place.target === target && place.lun === lun))
  )
  const owners = luns.flatMap(({ entry }) => [...(entry?.owners ?? [])])
  const sharers = await Promise.all(
    owners.map(async ([backend, owner]): Promise<readonly Sharer[]> => {
      const domid = domainOf(backend)
      if (domid === undefined || (await isToCheck(context, owner))) return []
      if (!(await context.xenstore.exists(backend))) return []
      return [await describe(context.xenstore, { domid, backend })]
    })
  )
  return sharers.flat()
}

/** Has not checked for sharing yet, and finds us when it does: should both find each other, nobody would get the volume. */
async function isToCheck({ host }: Context, { state, process }: Owner): Promise<boolean> {
  const id = state === 'attaching' ? parseProcessId(process) : undefined
  return id !== undefined && (await isAlive(host.files, id))
}

/**
 * Disks that QEMU serves: the kernel knows nothing of them. For who is no domain they are found where xenstored takes a
 * connection: a host without Xen is no failure, and costs no process.
 */
async function emulated(context: Context, { owner }: Place, volume: VolumeOnHost): Promise<readonly Sharer[]> {
  if (domainOf(owner) !== undefined) return await emulatedBy(context.xenstore, context, volume)
  const { xenstoreConnect: connect, clock } = context.host
  if (connect === undefined) return await orNone(emulatedBy(context.xenstore, context, volume))
  await using xenstore = createNativeXenstore({ connect, clock, timeoutMs: ANSWER_MS, allowDevice: false })
  return await orNone(emulatedBy(xenstore, context, volume))
}

const ANSWER_MS = 10_000

async function orNone(found: Promise<readonly Sharer[]>): Promise<readonly Sharer[]> {
  try {
    return await found
  } catch (error) {
    if (isLunError(error, 'XENSTORE_UNAVAILABLE')) return []
    throw error
  }
}

/** Only below /dev, which answers from memory: what another guest is given may lie on a server that is dead. */
async function emulatedBy(
  xenstore: Xenstore,
  { host: { files } }: Context,
  volume: VolumeOnHost
): Promise<readonly Sharer[]> {
  const children = async (path: string): Promise<readonly string[]> =>
    (await xenstore.exists(path)) ? await xenstore.list(path) : []
  const found: Sharer[] = []
  for (const domid of await children('backend/qdisk')) {
    for (const devid of await children(`backend/qdisk/${domid}`)) {
      const backend = `backend/qdisk/${domid}/${devid}`
      // `FORMAT:PATH`
      const path = (await xenstore.tryRead(`${backend}/params`))?.replace(/^[^/]*:/, '') ?? ''
      const isBelowDev = path.startsWith('/dev/') && !path.includes('/../')
      const stat = isBelowDev ? await files.stat(path).catch(() => undefined) : undefined
      if (stat?.kind !== 'block' || !liesOn(await findStack(files, stat.device), volume)) continue
      found.push(await describe(xenstore, { domid: Number(domid), backend }))
    }
  }
  return found
}
