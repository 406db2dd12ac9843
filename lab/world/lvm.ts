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

/** Makes the device a volume group with one active logical volume. */
export const createLogicalVolume = async (path: string): Promise<LogicalVolume> => {
  const lvm = (command: string, ...args: readonly string[]): Promise<string> =>
    run('lvm', [command, '--config', configOf(path), '--yes', ...args])
  // Makes the physical volume as well; a process of lvm costs a second.
  await lvm('vgcreate', group, path)
  // Not zeroed, because that would have to wait for the node in /dev.
  await lvm('lvcreate', '--zero', 'n', '--wipesignatures', 'n', '--size', '8M', '--name', volume, group)
  return {
    dmName: `${group}-${volume}`,
    release: async () => {
      await lvm('vgremove', '--force', group)
      await lvm('pvremove', path)
    },
  }
}
