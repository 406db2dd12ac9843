import { createXenstore, type HandedOver, type Host } from 'xen-lun'
import type { RandomWorld } from './world.ts'

/** The disk of a guest, as the toolstack makes and removes it. */
export interface GuestDisk {
  /** XENBUS_PATH */
  readonly owner: string
  /** Writes what a block script writes, at which blkback opens the device. */
  handOver(host: Host): (device: HandedOver) => Promise<void>
  connected(): void
  isConnected(): boolean
  /** The frontend is gone: blkback closes. */
  disconnect(): void
  remove(): void
}

export function addGuestDisk({ dom0 }: RandomWorld, domid: number, devid: number): GuestDisk {
  const backend = dom0.xen.addBackend({ domid, devid })
  const owner = backend.path.replace('/local/domain/0/', '')
  let isConnected = false
  return {
    owner,
    handOver:
      host =>
      async ({ deviceNumber: { major, minor } }) => {
        await using xenstore = createXenstore(host)
        await xenstore.write({ [`${owner}/physical-device`]: `${major.toString(16)}:${minor.toString(16)}` })
      },
    connected: () => {
      isConnected = true
    },
    isConnected: () => isConnected,
    disconnect: () => {
      isConnected = false
      backend.disconnect()
    },
    remove: () => backend.remove(),
  }
}
