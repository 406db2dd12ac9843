import type { DeviceUser } from '../core/error-details.ts'
import type { Files } from '../host/files.ts'
import type { BlockDevice } from './block-device.ts'

/**
 * Processes that hold one of these devices open, by looking at every descriptor, some ms per hundred processes; and loop
 * devices, which the kernel opens for itself.
 */
export async function findProcesses(files: Files, devices: readonly BlockDevice[]): Promise<readonly DeviceUser[]> {
  const nodes = new Map(
    devices.flatMap(device => [
      [`/dev/${device.name}`, device.name],
      [`/dev/mapper/${device.dm?.name ?? ''}`, device.name],
    ])
  )
  const deviceOf = (path: string): string | undefined => nodes.get(path.replace(PARTITION, ''))
  const found: DeviceUser[] = []
  for (const pid of (await files.list('/proc')).filter(name => /^\d+$/.test(name))) {
    const open = await openFiles(files, pid)
    const device = open.map(deviceOf).find(name => name !== undefined)
    if (device === undefined) continue
    const command = (await files.read(`/proc/${pid}/comm`))?.trim() ?? '?'
    found.push({ kind: 'process', device, name: `${pid} ${command}` })
  }
  return [...found, ...(await loopDevices(files, nodes))]
}

// The number of a partition of a SCSI disk.
const PARTITION = /(?<=\/sd[a-z]+)\d+$/

async function openFiles(files: Files, pid: string): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`
  const names = await files.list(folder).catch(() => [])
  const paths = await Promise.all(
    names.map(async name => await files.realpath(`${folder}/${name}`).catch(() => undefined))
  )
  return paths.filter(path => path !== undefined)
}

async function loopDevices(files: Files, nodes: ReadonlyMap<string, string>): Promise<readonly DeviceUser[]> {
  const loops = (await files.list('/sys/block')).filter(name => name.startsWith('loop'))
  const found = await Promise.all(
    loops.map(async (name): Promise<readonly DeviceUser[]> => {
      const backing = (await files.read(`/sys/block/${name}/loop/backing_file`))?.trim() ?? ''
      const device = nodes.get((await files.realpath(backing)) ?? backing)
      return device === undefined ? [] : [{ kind: 'holder', device, name }]
    })
  )
  return found.flat()
}
