import { run } from './run.ts'

export interface LogicalVolume {
  /** Its name at the device-mapper. */
  readonly dmName: string
  readonly release: () => Promise<void>
}

const group = 'labvg'
const volume = 'lablv'

// Sees the one device and nothing else, asks udev nothing and waits for nothing of it.
const configOf = (path: string): string =>
  [
    `devices { use_devicesfile=0 filter=["a|^${path}$|","r|.*|"] obtain_device_list_from_udev=0`,
    'external_device_info_source="none" multipath_component_detection=0 }',
    'activation { udev_sync=0 udev_rules=0 monitoring=0 }',
    'backup { backup=0 archive=0 }',
    'global { use_lvmpolld=0 event_activation=0 }',
  ].join(' ')

const lvm = (path: string, command: string, ...args: readonly string[]): Promise<string> =>
  run('lvm', [command, '--config', configOf(path), '--yes', ...args])

/**
 * Makes the device a volume group with one active logical volume. With `through`, it is written through that device, the
 * map of which `path` is a path, and lies on `path`: so it happens where LVM comes before multipathd.
 */
export const createLogicalVolume = async (path: string, through: string = path): Promise<LogicalVolume> => {
  const isBelow = path !== through
  // Makes the physical volume as well; a process of lvm costs a second.
  await lvm(through, 'vgcreate', group, through)
  // Not zeroed, because that would have to wait for the node in /dev.
  const how = ['--zero', 'n', '--wipesignatures', 'n', '--activate', isBelow ? 'n' : 'y']
  await lvm(through, 'lvcreate', ...how, '--size', '8M', '--name', volume, group)
  if (isBelow) await lvm(path, 'vgchange', '--activate', 'y', group)
  return {
    dmName: `${group}-${volume}`,
    release: async () => {
      if (isBelow) await lvm(path, 'vgchange', '--activate', 'n', group)
      await lvm(through, 'vgremove', '--force', group)
      await lvm(through, 'pvremove', through)
    },
  }
}
