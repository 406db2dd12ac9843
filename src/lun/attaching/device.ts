import { type BlockDevice, findMapOn, multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import { LunError } from '../../core/error.ts'
import { until } from '../../flow/until.ts'
import type { Files } from '../../host/files.ts'
import type { Host } from '../../host/host.ts'
import type { LunPlace } from '../journal/journal.ts'
import { mismatch } from '../volume/lun-identity.ts'
import type { Attachment } from './attachment.ts'
import type { PathContext } from './path.ts'
import type { PathRun } from './paths.ts'

/** The device node to hand over. */
export type LunDeviceNode = Pick<Attachment, 'device' | 'deviceNumber' | 'sizeBytes' | 'isReadOnly' | 'map'>

/** The node, and the block device it stands for. */
export interface FoundDevice {
  readonly node: LunDeviceNode
  readonly block: BlockDevice
  /** Of a disk that is used by itself. */
  readonly hctl: string | undefined
}

const NODE_MS = 15_000
/** How long udev may take to name a map, before the kernel's own node has to do. */
const NAME_MS = 2000
const READ_MS = 10_000
const READ_BYTES = 4096

/** Finds the device that stands on the paths that are up, waits for its node, and reads from it. */
export async function findDevice(shared: PathContext, paths: readonly PathRun[]): Promise<FoundDevice> {
  const { context, operation } = shared
  const { disk = '', hctl } = paths.map(path => path.outcome()).find(({ state }) => state === 'up') ?? {}
  const device = shared.isMultipath ? await findMap(shared, disk) : await findPlainDisk(shared, disk)
  await assertWithin(shared, device, disk)
  const node = { ...nodeOf(device), device: await findNode(context.host, operation, device) }
  await readTest(context.host, node.device, device.sizeBytes)
  return { node, block: device, hctl: shared.isMultipath ? undefined : hctl }
}

// What lies beyond the end of a path could only be read with an error that says nothing of the reason.
async function assertWithin({ context, wish }: PathContext, device: BlockDevice, disk: string): Promise<void> {
  const { sizeBytes = 0 } = (await readBlockDevice(context.host.files, disk)) ?? {}
  if (sizeBytes === 0 || device.sizeBytes <= sizeBytes) return
  throw mismatch(wish, device.dm?.name ?? device.name, 'size', String(sizeBytes), String(device.sizeBytes))
}

/**
 * The node with the map's name, which udev makes. On a host that has just got many disks udev is late by all their events:
 * there it is `/dev/dm-N`, which the kernel makes with the map.
 */
async function findNode(host: Host, { signal, emit }: PathContext['operation'], device: BlockDevice): Promise<string> {
  const { clock } = host
  const [named, own] = [nodeOf(device).device, `/dev/${device.name}`]
  const begunMs = clock.now()
  const look = async (): Promise<string | undefined> => {
    if (await isNodeOf(host, named, device)) return named
    const isLate = clock.now() - begunMs >= NAME_MS
    return isLate && (await isNodeOf(host, own, device)) ? own : undefined
  }
  const found = await until(clock, look, { awaited: `udev to make ${named}`, timeoutMs: NODE_MS, signal })
  if (found !== named) emit({ type: 'warning', message: `udev has not made ${named} yet, so ${found} is used` })
  return found
}

/** How a map or a plain disk is handed over. */
export function nodeOf({ name, dm, major, minor, sizeBytes, isReadOnly }: BlockDevice): LunDeviceNode {
  return {
    device: dm === undefined ? `/dev/${name}` : `/dev/mapper/${dm.name}`,
    deviceNumber: { major, minor },
    sizeBytes,
    isReadOnly,
    map: dm === undefined ? undefined : { name: dm.name, dm: name },
  }
}

async function findMap({ context, wish, identity }: PathContext, disk: string): Promise<BlockDevice> {
  const map = await findMapOn(context.host.files, disk)
  const found = multipathWwid(map)
  if (map === undefined || found !== identity.wwid) {
    throw mismatch(wish, map?.name ?? disk, 'wwid', identity.wwid ?? 'none', found ?? 'none')
  }
  return map
}

async function findPlainDisk({ context, wish }: PathContext, disk: string): Promise<BlockDevice> {
  const device = await readBlockDevice(context.host.files, disk)
  if (device === undefined) throw unreadable(disk, 'it vanished')
  assertByItself(wish, device)
  return device
}

/** Nothing is built on a disk, no map either. @throws {@link LunError} `LUN_IN_USE` */
export function assertByItself({ target, lun }: LunPlace, { name: disk, holders }: BlockDevice): void {
  if (holders.length === 0) return
  const users = holders.map(name => ({ kind: 'holder', device: disk, name }) as const)
  const message = `LUN ${lun} of ${target}: ${holders.join(', ')} holds ${disk}, so it cannot be used by itself`
  throw new LunError('LUN_IN_USE', message, { target, lun, users })
}

async function isNodeOf({ files }: Host, path: string, { major, minor }: BlockDevice): Promise<boolean> {
  const stat = await files.stat(path)
  return stat?.kind === 'block' && stat.device.major === major && stat.device.minor === minor
}

/**
 * Reads the device, within a deadline, and past what the kernel keeps of it: as long as anybody has it open, that would
 * answer for an array that does not.
 *
 * @throws {@link LunError} `DEVICE_UNREADABLE`
 */
export async function readTest({ files, clock }: Host, path: string, sizeBytes: number): Promise<void> {
  if (sizeBytes < READ_BYTES) throw unreadable(path, `its size is ${sizeBytes} bytes`)
  const middle = Math.floor(sizeBytes / 2 / READ_BYTES) * READ_BYTES
  const stop = new AbortController()
  const reads = Promise.all([0, middle].map(async offset => await readPast(files, path, offset)))
  const late = clock.sleep(READ_MS, stop.signal).then(() => undefined)
  try {
    const blocks = await Promise.race([reads, late])
    if (blocks === undefined) throw unreadable(path, `no answer within ${READ_MS} ms`)
    if (blocks.some(({ length }) => length !== READ_BYTES)) throw unreadable(path, 'it ended early')
  } catch (error) {
    throw error instanceof LunError ? error : unreadable(path, error instanceof Error ? error.message : String(error))
  } finally {
    stop.abort()
    late.catch(() => {})
  }
}

async function readPast(files: Files, path: string, offset: number): Promise<Uint8Array> {
  try {
    return await files.readAt(path, offset, READ_BYTES, { isDirect: true })
  } catch (error) {
    // A device of larger blocks than these: no fault of the array.
    if (!(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw error
    return await files.readAt(path, offset, READ_BYTES)
  }
}

function unreadable(device: string, reason: string): LunError<'DEVICE_UNREADABLE'> {
  return new LunError('DEVICE_UNREADABLE', `${device} cannot be read: ${reason}`, { device, reason })
}
