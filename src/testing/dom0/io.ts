import { isClaimed, openBlock } from './claims.ts'
import { type BlockDevice, isReadOnly, type ScsiDevice } from './devices.ts'
import { isOpen, readCached, writeCached } from './page-cache.ts'
import { readVolume, type StorageArray, type Volume, writeVolume } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import { fileError, type TreeDevice } from './tree.ts'

interface IoParts {
  readonly array: StorageArray
  readonly scheduler: Scheduler
  readonly ioQueue: IoQueue
}

/** Where I/O waits that nothing but a change from outside can bring on. */
export interface IoQueue {
  wait(): Promise<void>
  wake(): void
}

const LOOK_MS = 1000

export function createIoQueue(scheduler: Scheduler): IoQueue {
  const waiting = new Set<() => void>()
  return {
    wait: async () => {
      await new Promise<void>(resolve => {
        const wake = (): void => {
          waiting.delete(wake)
          resolve()
        }
        waiting.add(wake)
        // In the background: it must not make time pass for ever.
        scheduler.after(LOOK_MS, wake)
      })
    },
    wake: () => {
      for (const wake of waiting) wake()
    },
  }
}

/** What the array has behind a device now, whatever it had at the last inquiry. */
export function volumeBehind(array: StorageArray, { session, lun }: ScsiDevice): Volume | undefined {
  return array.targets.get(session.iqn)?.luns.get(lun)
}

/** Whether I/O through this disk can succeed now. */
export function isUsable(array: StorageArray, disk: BlockDevice): boolean {
  return disk.scsi?.session.state === 'LOGGED_IN' && canReturn(array, disk)
}

/** The node of a disk or of a map: I/O takes any path that works, and has the device open until it ends. */
export function deviceNode(parts: IoParts, path: string, device: BlockDevice): TreeDevice {
  const onVolume = async <T>(act: (volume: Volume) => T): Promise<T> => {
    const close = openBlock(device)
    try {
      return act(await findVolume(parts, path, device))
    } finally {
      close()
    }
  }
  return {
    kind: 'device',
    major: device.major,
    minor: device.minor,
    read: async (offset, length, isDirect) => {
      const room = device.part === undefined ? length : Math.max(0, Math.min(length, device.sizeBytes - offset))
      const ask = async (at: number, count: number): Promise<Uint8Array> =>
        await onVolume(volume => readVolume(volume, startOf(device) + at, count))
      return isDirect || !isOpen(device) ? await ask(offset, room) : await readCached(device, offset, room, ask)
    },
    write: async (offset, data) => {
      if (isReadOnly(device)) throw fileError('EROFS', path)
      await onVolume(volume => writeVolume(volume, startOf(device) + offset, data))
      writeCached(device, offset, data)
    },
    sync: async () => await onVolume(() => {}),
    isClaimed: () => isClaimed(device),
  }
}

// While a path may come back the kernel keeps I/O waiting, and as long as it takes if a map queues.
async function findVolume({ array, scheduler, ioQueue }: IoParts, path: string, device: BlockDevice): Promise<Volume> {
  for (;;) {
    const disks = disksBelow(device)
    const scsi = disks.find(disk => isUsable(array, disk))?.scsi
    const volume = scsi === undefined ? undefined : volumeBehind(array, scsi)
    if (volume !== undefined) return volume
    const isLost = disks.every(disk => isFailing(array, disk))
    if (isLost && !isQueueing(device)) throw fileError('EIO', path)
    if (isLost && !disks.some(disk => canReturn(array, disk))) await ioQueue.wait()
    else await scheduler.sleep(LOOK_MS)
  }
}

/** Whether it answers I/O with an error: its session was given up, or the target knows no such LUN. */
function isFailing(array: StorageArray, { scsi }: BlockDevice): boolean {
  if (scsi === undefined || scsi.session.state === 'FREE') return true
  const isHeard = scsi.session.state === 'LOGGED_IN' && array.isReachable(scsi.session.iqn, scsi.session.portal)
  return isHeard && (volumeBehind(array, scsi) === undefined || array.isStandby(scsi.session.portal))
}

/** Whether its session, if it were up, would reach a volume. */
function canReturn(array: StorageArray, { scsi }: BlockDevice): boolean {
  if (scsi === undefined) return false
  const { iqn, portal } = scsi.session
  return array.isReachable(iqn, portal) && !array.isStandby(portal) && volumeBehind(array, scsi) !== undefined
}

function isQueueing({ dm, slaves }: BlockDevice): boolean {
  return dm?.isQueueing === true || [...slaves].some(isQueueing)
}

/** Where on the volume a device begins. */
function startOf({ part, slaves }: BlockDevice): number {
  const [below] = slaves
  return part?.startBytes ?? (below === undefined ? 0 : startOf(below))
}

function disksBelow(device: BlockDevice): readonly BlockDevice[] {
  if (device.part !== undefined) return [device.part.disk]
  return device.dm === undefined ? [device] : [...device.slaves].flatMap(disksBelow)
}
