import type { BlockDevice } from './devices.ts'
import type { Kernel } from './kernel.ts'
import type { Scheduler } from './scheduler.ts'
import { type Tree, textFile } from './tree.ts'

/** Called when udev is through with a device, and when it has heard that one is gone. */
export interface UdevListener {
  readonly initialized: (device: BlockDevice) => void
  readonly removed: (device: BlockDevice) => void
}

/** Time from the kernel's event to the end of udev's rules. */
const RULES_MS = 100
const REMOVE_MS = 80

/** systemd-udevd: its records, its links, and the events it passes on. */
export interface Udev {
  isInitialized(device: BlockDevice): boolean
  listen(listener: UdevListener): void
}

export function createUdev(tree: Tree, kernel: Kernel, scheduler: Scheduler): Udev {
  const known = new Set<BlockDevice>()
  const listeners: UdevListener[] = []
  const recordOf = ({ major, minor }: BlockDevice): string => `/run/udev/data/b${major}:${minor}`
  const isPresent = (device: BlockDevice): boolean =>
    [kernel.disks, kernel.partitions, kernel.maps].some(all => all.get(device.name) === device)

  kernel.listen({
    pathChanged: () => {},
    added: device => {
      scheduler.after(RULES_MS, () => {
        if (!isPresent(device)) return
        known.add(device)
        const links = linksOf(device)
        const lines = [
          ...links.map(name => `S:${name}`),
          `I:${Math.round(scheduler.now() * 1000) + 1}`,
          ...propertiesOf(device).map(([name, value]) => `E:${name}=${value}`),
          '',
        ]
        tree.put(recordOf(device), textFile(lines.join('\n')))
        for (const listener of listeners) listener.initialized(device)
      })
    },
    removed: device => {
      // The record goes at once: a device of the same number may come before udev has handled the event.
      tree.remove(recordOf(device))
      known.delete(device)
      scheduler.after(REMOVE_MS, () => {
        for (const listener of listeners) listener.removed(device)
      })
    },
  })
  return {
    isInitialized: device => known.has(device),
    listen: listener => {
      listeners.push(listener)
    },
  }
}

function linksOf({ scsi, dm, part, name }: BlockDevice): readonly string[] {
  if (part !== undefined) return linksOf(part.disk).map(of => `${of}-part${part.number}`)
  if (scsi !== undefined) return [`disk/by-id/scsi-${scsi.identity.wwid}`]
  return dm === undefined ? [] : [`disk/by-id/dm-name-${dm.name}`, `disk/by-id/dm-uuid-${dm.uuid}`, `mapper/${name}`]
}

function propertiesOf({ scsi, dm, part }: BlockDevice): readonly (readonly [string, string])[] {
  if (part !== undefined) return [['PARTN', String(part.number)], ...propertiesOf(part.disk)]
  if (scsi !== undefined) {
    return [
      ['ID_SCSI', '1'],
      ['ID_SERIAL', scsi.identity.wwid],
      ['DM_MULTIPATH_DEVICE_PATH', '1'],
    ]
  }
  return [
    ['DM_NAME', dm?.name ?? ''],
    ['DM_UUID', dm?.uuid ?? ''],
  ]
}
