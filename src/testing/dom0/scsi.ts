import { type BlockLayerParts, createBlock, hideBlock, publishBlock, unstack } from './block.ts'
import type { BlockDevice, ScsiDevice, Session } from './devices.ts'
import { describeVolume, inquire } from './inquiry.ts'
import { deviceNode } from './io.ts'
import { createPartitions, type Partitions } from './partitions.ts'
import { attribute, fileError, link, type Tree } from './tree.ts'

/** The SCSI layer: LUNs become devices, devices become disks. */
export interface ScsiLayer extends Partitions {
  readonly disks: Map<string, BlockDevice>
  /** What a write of `request` to the `scan` attribute of the session's host does. */
  scan(session: Session, request: string): void
  remove(scsi: ScsiDevice): void
}

/** How long the kernel takes for what it does: measured on a quick host, rounded. */
const DISK_MS = 30
const DELETE_MS = 10
const SD_MAJOR = 8
const MINORS_PER_DISK = 16

export function createScsiLayer(parts: BlockLayerParts): ScsiLayer {
  const { tree, array, scheduler } = parts
  const disks = new Map<string, BlockDevice>()
  const partitions = createPartitions(parts)
  const freeIndex = (): number => {
    for (let n = 0; ; n++) if (!disks.has(diskName(n))) return n
  }
  const addDisk = (scsi: ScsiDevice): void => {
    if (scsi.session.devices.get(scsi.lun) !== scsi) return
    const disk = createDisk(scsi, freeIndex())
    scsi.disk = disk
    disks.set(disk.name, disk)
    publishBlock(tree, disk, `${folderOf(scsi)}/block/${disk.name}`)
    tree.put(`/sys/block/${disk.name}/device`, link(folderOf(scsi)))
    tree.put(`/dev/${disk.name}`, deviceNode(parts, `/dev/${disk.name}`, disk))
    parts.added(disk)
  }
  const remove = (scsi: ScsiDevice): void => {
    if (scsi.session.devices.get(scsi.lun) !== scsi) return
    scsi.session.devices.delete(scsi.lun)
    tree.remove(`/sys/class/scsi_device/${scsi.hctl}`)
    const { disk } = scsi
    if (disk !== undefined) {
      // A map keeps the entry of a disk that is gone in its table; sysfs shows it no more.
      for (const map of disk.holders) unstack(tree, map, disk)
      for (const partition of disk.partitions) partitions.removePartition(partition)
      disks.delete(disk.name)
      hideBlock(tree, disk)
      tree.remove(`/dev/${disk.name}`)
    }
    tree.remove(folderOf(scsi))
    if (disk !== undefined) parts.removed(disk)
  }
  const add = (session: Session, lun: number): void => {
    const volume = array.targets.get(session.iqn)?.luns.get(lun)
    if (volume === undefined || session.devices.has(lun) || session.state !== 'LOGGED_IN') return
    if (session.unboundAs !== undefined) return
    const scsi: ScsiDevice = {
      hctl: `${session.host}:0:0:${lun}`,
      lun,
      session,
      ...describeVolume(array, session.portal, volume),
      commands: { done: 1, failed: 0 },
      disk: undefined,
    }
    session.devices.set(lun, scsi)
    publishScsi(tree, scsi, {
      rescan: () => inquire(array, scheduler, scsi, `${folderOf(scsi)}/rescan`),
      delete: () => {
        scheduler.after(DELETE_MS, () => remove(scsi))
      },
    })
    scheduler.after(DISK_MS, () => addDisk(scsi))
  }
  return {
    ...partitions,
    disks,
    remove,
    scan: (session, request) => {
      const [, channel, target, lun] = /^(\S+) (\S+) (\S+)\s*$/.exec(request) ?? []
      if (lun === undefined) throw fileError('EINVAL', 'scan')
      if (![channel, target].every(word => word === '-' || word === '0')) return
      const known = array.targets.get(session.iqn)?.luns.keys() ?? []
      for (const found of lun === '-' ? known : [Number(lun)]) add(session, found)
    },
  }
}

function createDisk(scsi: ScsiDevice, index: number): BlockDevice {
  return createBlock({
    name: diskName(index),
    major: SD_MAJOR,
    minor: index * MINORS_PER_DISK,
    sizeBytes: scsi.sizeBytes,
    scsi,
  })
}

function publishScsi(
  tree: Tree,
  scsi: ScsiDevice,
  orders: { readonly rescan: () => void | Promise<void>; readonly delete: () => void }
): void {
  const folder = folderOf(scsi)
  const show = (name: string, read: () => string | Uint8Array): void => tree.put(`${folder}/${name}`, attribute(read))
  show('state', () => `${scsiState(scsi.session)}\n`)
  show('wwid', () => `naa.${scsi.identity.wwid.slice(1)}\n`)
  show('iodone_cnt', () => `0x${scsi.commands.done.toString(16)}\n`)
  show('ioerr_cnt', () => `0x${scsi.commands.failed.toString(16)}\n`)
  show('vpd_pg80', () => serialPage(scsi.identity.serial))
  for (const [name, order] of Object.entries(orders)) {
    tree.put(
      `${folder}/${name}`,
      attribute(() => '', order)
    )
  }
  tree.put(`/sys/class/scsi_device/${scsi.hctl}/device`, link(folder))
}

function folderOf({ session, hctl }: ScsiDevice): string {
  return `/sys/devices/platform/host${session.host}/session${session.sid}/target${session.host}:0:0/${hctl}`
}

/** drivers/scsi/scsi_transport_iscsi.c blocks the devices of a lost session, and fails them when its time is up. */
export function scsiState({ state }: Session): string {
  return { LOGGED_IN: 'running', FAILED: 'blocked', FREE: 'transport-offline' }[state]
}

function serialPage(serial: string): Uint8Array {
  const text = new TextEncoder().encode(serial)
  return Uint8Array.from([0, 0x80, text.length >> 8, text.length & 0xff, ...text])
}

const LETTERS = 26

function diskName(index: number): string {
  const letter = (n: number): string => String.fromCodePoint(0x61 + n)
  return index < LETTERS
    ? `sd${letter(index)}`
    : `sd${letter(Math.floor(index / LETTERS) - 1)}${letter(index % LETTERS)}`
}
