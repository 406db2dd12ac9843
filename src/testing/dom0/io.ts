import type { BlockDevice, ScsiDevice } from './devices.ts'
import { readVolume, type StorageArray, type Volume, writeVolume } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import { fileError, type TreeDevice } from './tree.ts'

interface IoParts {
  readonly array: StorageArray
  readonly scheduler: Scheduler
}

const LOOK_MS = 1000

/** What the array has behind a device now, whatever it had at the last inquiry. */
export function volumeBehind(array: StorageArray, { session, lun }: ScsiDevice): Volume | undefined {
  return array.targets.get(session.iqn)?.luns.get(lun)
}

/** Whether I/O through this disk can succeed now. */
export function isUsable(array: StorageArray, { scsi }: BlockDevice): boolean {
  if (scsi === undefined || scsi.session.state !== 'LOGGED_IN') return false
  return array.isReachable(scsi.session.iqn, scsi.session.portal) && volumeBehind(array, scsi) !== undefined
}

/** The node of a disk or of a map: I/O takes any path that works. */
export function deviceNode(parts: IoParts, path: string, device: BlockDevice): TreeDevice {
  const volume = async (): Promise<Volume> => await findVolume(parts, path, device)
  return {
    kind: 'device',
    major: device.major,
    minor: device.minor,
    read: async (offset, length) => readVolume(await volume(), offset, length),
    write: async (offset, data) => writeVolume(await volume(), offset, data),
    sync: async () => {
      await volume()
    },
  }
}

// While a path may come back the kernel keeps I/O waiting.
async function findVolume({ array, scheduler }: IoParts, path: string, device: BlockDevice): Promise<Volume> {
  for (;;) {
    const disks = disksBelow(device)
    const scsi = disks.find(disk => isUsable(array, disk))?.scsi
    const volume = scsi === undefined ? undefined : volumeBehind(array, scsi)
    if (volume !== undefined) return volume
    if (disks.every(disk => disk.scsi === undefined || disk.scsi.session.state === 'FREE')) throw fileError('EIO', path)
    await scheduler.sleep(LOOK_MS)
  }
}

function disksBelow(device: BlockDevice): readonly BlockDevice[] {
  return device.dm === undefined ? [device] : [...device.slaves].flatMap(disksBelow)
}
