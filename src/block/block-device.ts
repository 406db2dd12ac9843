import type { Files } from '../host/files.ts'

/** A block device as sysfs shows it. */
export interface BlockDevice {
  /** `sdb`, `dm-0`. */
  readonly name: string
  readonly major: number
  readonly minor: number
  readonly sizeBytes: number
  readonly isReadOnly: boolean
  /** Devices built on this one. */
  readonly holders: readonly string[]
  /** Devices this one is built on. */
  readonly slaves: readonly string[]
  /** Present for device-mapper devices. */
  readonly dm: { readonly name: string; readonly uuid: string } | undefined
}

const SECTOR_BYTES = 512 // sysfs counts in these whatever the device's own sector size

/** Reads what sysfs says of `name`; undefined when there is no such device (any more). */
export async function readBlockDevice(files: Files, name: string): Promise<BlockDevice | undefined> {
  const path = `/sys/block/${name}`
  const text = async (attribute: string): Promise<string | undefined> =>
    (await files.read(`${path}/${attribute}`))?.trim()
  const [dev, size, ro, holders, slaves, dmName, uuid] = await Promise.all([
    text('dev'),
    text('size'),
    text('ro'),
    files.list(`${path}/holders`),
    files.list(`${path}/slaves`),
    text('dm/name'),
    text('dm/uuid'),
  ])
  const [, major, minor] = /^(\d{1,10}):(\d{1,10})$/.exec(dev ?? '') ?? []
  if (minor === undefined || size === undefined || !/^\d{1,15}$/.test(size)) return undefined
  return {
    name,
    major: Number(major),
    minor: Number(minor),
    sizeBytes: Number(size) * SECTOR_BYTES,
    isReadOnly: ro === '1',
    holders,
    slaves,
    dm: dmName === undefined || uuid === undefined ? undefined : { name: dmName, uuid },
  }
}

const MULTIPATH_UUID = 'mpath-'

/** The WWID a multipath map carries in its dm uuid; undefined for LVM, crypt, partitions and plain disks. */
export function multipathWwid(device: BlockDevice | undefined): string | undefined {
  const uuid = device?.dm?.uuid
  return uuid?.startsWith(MULTIPATH_UUID) === true ? uuid.slice(MULTIPATH_UUID.length) : undefined
}

/** The multipath map built on `disk`, if there is one; other holders (LVM, crypt) do not count. */
export async function findMapOn(files: Files, disk: string): Promise<BlockDevice | undefined> {
  for (const holder of await files.list(`/sys/block/${disk}/holders`)) {
    const uuid = await files.read(`/sys/block/${holder}/dm/uuid`)
    if (uuid?.startsWith(MULTIPATH_UUID) === true) return await readBlockDevice(files, holder)
  }
  return undefined
}

/** The multipath map of a WWID, with or without paths. */
export async function findMapByWwid(files: Files, wwid: string): Promise<BlockDevice | undefined> {
  for (const name of await files.list('/sys/block')) {
    if (!name.startsWith('dm-')) continue
    const uuid = (await files.read(`/sys/block/${name}/dm/uuid`))?.trim()
    if (uuid === `${MULTIPATH_UUID}${wwid}`) return await readBlockDevice(files, name)
  }
  return undefined
}
