import type { ScsiDevice } from './devices.ts'
import { volumeBehind } from './io.ts'
import type { StorageArray, Volume } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import { fileError } from './tree.ts'

const LOOK_MS = 1000

/** What a device says of itself over one portal. */
export function describeVolume(
  array: StorageArray,
  portal: string,
  { wwid, serial, isReadOnly, sizeBytes }: Volume
): Pick<ScsiDevice, 'identity' | 'sizeBytes'> {
  return { identity: { wwid, serial, isReadOnly }, sizeBytes: array.isStandby(portal) ? 0 : sizeBytes }
}

/**
 * What a write to `rescan` does. The kernel keeps what a device said of itself until it is told to ask again, and if
 * nobody answers then, also afterwards: the write ends well all the same.
 */
export function inquire(
  array: StorageArray,
  scheduler: Scheduler,
  scsi: ScsiDevice,
  path: string
): void | Promise<void> {
  const { session } = scsi
  const { takesMs = 0, isFailing = false, isWaiting = false } = array.inquiryBehaviour(session.portal)
  const isHeard = (): boolean => session.state === 'LOGGED_IN' && array.isReachable(session.iqn, session.portal)
  const ask = (): void => {
    if (!isHeard()) return
    const volume = volumeBehind(array, scsi)
    scsi.commands.done++
    if (volume === undefined) {
      scsi.commands.failed++
      return
    }
    Object.assign(scsi, describeVolume(array, session.portal, volume))
    if (scsi.disk !== undefined) scsi.disk.sizeBytes = scsi.sizeBytes
  }
  if (takesMs === 0 && !isFailing && (isHeard() || !isWaiting)) {
    ask()
    return undefined
  }
  const wait = async (): Promise<void> => {
    await scheduler.sleep(takesMs)
    if (isFailing) throw fileError('EIO', path)
    while (isWaiting && !isHeard() && session.state !== 'FREE' && session.devices.get(scsi.lun) === scsi) {
      await scheduler.sleep(LOOK_MS)
    }
    ask()
  }
  return wait()
}
