import type { DeviceUser } from '../core/error-details.ts'
import type { Files } from '../host/files.ts'
import { type BlockDevice, readBlockDevice } from './block-device.ts'
import { findXenBackends } from './xen-backends.ts'

/**
 * Who uses a block device, as far as files tell: what is stacked on it, mounts, swap, and Xen block backends, on itself
 * or on one of its partitions. A plain open of a dm map shows only when it is flushed; {@link findProcesses} then names
 * the process.
 */
export async function findUsers(files: Files, device: BlockDevice): Promise<readonly DeviceUser[]> {
  const [mounts = '', swaps = ''] = await Promise.all([files.read('/proc/self/mountinfo'), files.read('/proc/swaps')])
  return await usersOf(files, device, { mounts, swaps })
}

interface Tables {
  readonly mounts: string
  readonly swaps: string
}

async function usersOf(files: Files, device: BlockDevice, tables: Tables): Promise<readonly DeviceUser[]> {
  const user = (kind: DeviceUser['kind'], name: string): DeviceUser => ({ kind, device: device.name, name })
  const stacked = await Promise.all(device.holders.map(async name => await readBlockDevice(files, name)))
  const isPartition = (_: unknown, n: number): boolean => PARTITION_UUID.test(stacked[n]?.dm?.uuid ?? '')
  const [backends, swapNodes, kernelPartitions] = await Promise.all([
    findXenBackends(files),
    swapFiles(files, tables.swaps, device),
    partitionsOf(files, device),
  ])
  const partitions = [...stacked.filter(isPartition), ...kernelPartitions].filter(found => found !== undefined)
  return [
    ...device.holders
      .filter((name, n) => !isPartition(name, n))
      .map((name, n) => user('holder', labelOf(name, stacked[n]))),
    ...mountPoints(tables.mounts, device).map(name => user('mount', name)),
    ...swapNodes.map(name => user('swap', name)),
    ...backends.flatMap(({ name, state, major, minor }) =>
      major === device.major && minor === device.minor
        ? [{ ...user('xen-backend', name), ...(state !== undefined && { state }) }]
        : []
    ),
    ...(await Promise.all(partitions.map(async partition => await usersOf(files, partition, tables)))).flat(),
  ]
}

// kpartx, and multipathd's udev rules, prefix a map's uuid with this. multipathd removes such maps with their map.
const PARTITION_UUID = /^part\d+-mpath-/

// lvm2 lib/activate/dev_manager.c, cryptsetup lib/libdevmapper.c
const SUBSYSTEMS: Readonly<Record<string, string>> = { LVM: 'LVM', CRYPT: 'crypt', mpath: 'multipath' }

function labelOf(name: string, device: BlockDevice | undefined): string {
  if (device?.dm === undefined) return name
  const subsystem = SUBSYSTEMS[device.dm.uuid.split('-', 1)[0] ?? '']
  return subsystem === undefined ? device.dm.name : `${device.dm.name} (${subsystem})`
}

/** The partitions the kernel found on a disk; on a map it looks for none. */
async function partitionsOf(files: Files, { name, dm }: BlockDevice): Promise<readonly BlockDevice[]> {
  if (dm !== undefined) return []
  const names = (await files.list(`/sys/block/${name}`)).filter(entry => entry.startsWith(name))
  const found = await Promise.all(names.map(async entry => await readBlockDevice(files, `${name}/${entry}`)))
  return found.flatMap((partition, n) => (partition === undefined ? [] : [{ ...partition, name: names[n] ?? '' }]))
}

// proc_pid_mountinfo(5): field 3 is major:minor, field 5 the mount point
function mountPoints(mountinfo: string, { major, minor }: BlockDevice): readonly string[] {
  return mountinfo
    .split('\n')
    .map(line => line.split(' '))
    .flatMap(fields => (fields[2] === `${major}:${minor}` && fields[4] !== undefined ? [fields[4]] : []))
}

async function swapFiles(files: Files, swaps: string, device: BlockDevice): Promise<readonly string[]> {
  const used: string[] = []
  for (const line of swaps.split('\n').slice(1)) {
    const [path = ''] = line.split(/\s/)
    if (!path.startsWith('/dev/')) continue
    const stat = await files.stat(path)
    if (stat?.device.major === device.major && stat.device.minor === device.minor) used.push(path)
  }
  return used
}
