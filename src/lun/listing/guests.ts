import type { BlockDevice } from '../../block/block-device.ts'
import type { XenBackend } from '../../block/xen-backends.ts'
import { printable } from '../../core/printable.ts'
import { vdevName } from '../../core/vdev.ts'
import { type DiskBackend, readDiskBackend } from '../../xenstore/disk-backend.ts'
import type { Xenstore } from '../../xenstore/types.ts'
import type { LunEntry } from '../journal/entries.ts'
import { domainOf } from '../journal/owner.ts'
import { type Told, tell } from './told.ts'

/** A LUN as the disk of a guest. */
export interface ListedGuest {
  /** `backend/vbd/3/51712` */
  readonly backend: string
  readonly domid: number
  /** `xvda` */
  readonly vdev: string
  /** It holds the LUN by the journal; otherwise blkback serves the device to it all the same. */
  readonly isOwner: boolean
  /** The domain; undefined when xenstore has none of this number. */
  readonly domain: ListedDomain | 'unknown' | undefined
  /** State and hotplug script, by xenstore; undefined when there is no such backend any more. */
  readonly status: Pick<DiskBackend, 'state' | 'hotplugStatus' | 'hotplugError'> | 'unknown' | undefined
}

/** Who a domain is. */
export interface ListedDomain {
  readonly name: string | undefined
  readonly uuid: string | undefined
}

/** A backend of which nothing but its name is known. */
export interface GuestDisk {
  readonly backend: string
  readonly isOwner: boolean
}

/** Owners that are backends, and what blkback serves from any of these devices. */
export function disksOfGuests(
  entry: LunEntry | undefined,
  devices: readonly BlockDevice[],
  served: readonly XenBackend[]
): readonly GuestDisk[] {
  const owners = [...(entry?.owners.keys() ?? [])].filter(owner => domainOf(owner) !== undefined)
  const others = served
    .filter(({ major, minor }) => devices.some(device => device.major === major && device.minor === minor))
    .map(({ name }) => `backend/${name.replaceAll('-', '/')}`)
  const names = [...new Set([...owners, ...others])]
  return names.map(backend => ({ backend, isOwner: owners.includes(backend) }))
}

interface Guests {
  of(disk: GuestDisk): ListedGuest
  /** Why nothing is known of them. */
  readonly problem: string | undefined
}

interface Facts {
  readonly domain: ListedDomain | undefined
  readonly status: DiskBackend | undefined
}

/** Asks xenstore for all of them at once. */
export async function listGuests(
  xenstore: Xenstore,
  disks: readonly GuestDisk[],
  signal: AbortSignal | undefined
): Promise<Guests> {
  const names = [...new Set(disks.map(({ backend }) => backend))]
  const told: Told<ReadonlyMap<string, Facts>> = await tell(
    async () => new Map(await Promise.all(names.map(async name => [name, await askAbout(xenstore, name)] as const))),
    signal
  )
  return {
    problem: 'problem' in told ? told.problem : undefined,
    of: ({ backend, isOwner }) => {
      const [domid = 0, devid = 0] = backend.split('/').slice(-2).map(Number)
      const disk = { backend, domid, vdev: vdevName(devid), isOwner }
      if ('problem' in told) return { ...disk, domain: 'unknown', status: 'unknown' }
      const { domain, status } = told.answer.get(backend) ?? { domain: undefined, status: undefined }
      return { ...disk, domain, status: status === undefined ? undefined : statusOf(status) }
    },
  }
}

function statusOf({ state, hotplugStatus, hotplugError }: DiskBackend): ListedGuest['status'] {
  return { state, hotplugStatus, hotplugError }
}

async function askAbout(xenstore: Xenstore, backend: string): Promise<Facts> {
  const home = `/local/domain/${domainOf(backend)}`
  const [isThere, name, vm, status] = await Promise.all([
    xenstore.exists(home),
    xenstore.tryRead(`${home}/name`),
    xenstore.tryRead(`${home}/vm`),
    readDiskBackend(xenstore, backend),
  ])
  const uuid = /^\/vm\/([0-9a-f-]{36})(?:-\d+)?$/i.exec(vm ?? '')?.[1]
  return { domain: isThere ? { name: name === undefined ? undefined : printable(name), uuid } : undefined, status }
}
