import type { DeviceUser } from '../core/error-details.ts'
import type { Files } from '../host/files.ts'
import type { BlockDevice } from './block-device.ts'

/**
 * Who uses a block device, as far as files tell: what is stacked on it, mounts, swap, and Xen block backends.
 * A plain open of a dm map shows only when it is flushed; {@link findProcesses} then names the process.
 */
export async function findUsers(files: Files, device: BlockDevice): Promise<readonly DeviceUser[]> {
  const number = `${device.major}:${device.minor}`
  const [mounts, swaps, backends] = await Promise.all([
    files.read('/proc/self/mountinfo'),
    files.read('/proc/swaps'),
    findXenBackends(files, device),
  ])
  const user = (kind: DeviceUser['kind'], name: string): DeviceUser => ({ kind, device: device.name, name })
  return [
    ...device.holders.map(name => user('holder', name)),
    ...mountPoints(mounts ?? '', number).map(name => user('mount', name)),
    ...(await swapFiles(files, swaps ?? '', device)).map(name => user('swap', name)),
    ...backends,
  ]
}

// proc_pid_mountinfo(5): field 3 is major:minor, field 5 the mount point
function mountPoints(mountinfo: string, number: string): readonly string[] {
  return mountinfo
    .split('\n')
    .map(line => line.split(' '))
    .flatMap(fields => (fields[2] === number && fields[4] !== undefined ? [fields[4]] : []))
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

const XEN_BACKENDS = '/sys/bus/xen-backend/devices'

// xen-blkback shows the device it serves as hexadecimal major:minor, drivers/block/xen-blkback/xenbus.c
async function findXenBackends(files: Files, { name, major, minor }: BlockDevice): Promise<readonly DeviceUser[]> {
  const found: DeviceUser[] = []
  for (const backend of await files.list(XEN_BACKENDS)) {
    const text = await files.read(`${XEN_BACKENDS}/${backend}/physical_device`)
    if (text?.trim() !== `${major.toString(16)}:${minor.toString(16)}`) continue
    const state = (await files.read(`${XEN_BACKENDS}/${backend}/state`))?.trim()
    found.push({ kind: 'xen-backend', device: name, name: backend, ...(state !== undefined && { state }) })
  }
  return found
}

/** Processes that hold one of these devices open, by looking at every descriptor: some ms per hundred processes. */
export async function findProcesses(files: Files, devices: readonly BlockDevice[]): Promise<readonly DeviceUser[]> {
  const nodes = new Map(
    devices.flatMap(device => [
      [`/dev/${device.name}`, device.name],
      [`/dev/mapper/${device.dm?.name ?? ''}`, device.name],
    ])
  )
  const found: DeviceUser[] = []
  for (const pid of (await files.list('/proc')).filter(name => /^\d+$/.test(name))) {
    const open = await openFiles(files, pid)
    const device = open.map(path => nodes.get(path)).find(name => name !== undefined)
    if (device === undefined) continue
    const command = (await files.read(`/proc/${pid}/comm`))?.trim() ?? '?'
    found.push({ kind: 'process', device, name: `${pid} ${command}` })
  }
  return found
}

async function openFiles(files: Files, pid: string): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`
  const names = await files.list(folder).catch(() => [])
  const paths = await Promise.all(
    names.map(async name => await files.realpath(`${folder}/${name}`).catch(() => undefined))
  )
  return paths.filter(path => path !== undefined)
}
