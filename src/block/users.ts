import type { DeviceUser } from '../core/error-details.ts'
import type { Files } from '../host/files.ts'
import { type MountedFileSystem, parseMountinfo } from './mountinfo.parse.ts'
import type { StackedDevice } from './stack.ts'
import { type BackendStatus, readBackendStatus, type XenBackend } from './xen-backends.ts'

/**
 * Who uses these devices, as far as tables tell: what is stacked on them, mounts, swap, and Xen block backends. What no
 * table names, {@link findClaims} and {@link findOpenDevices} find.
 */
export async function findUsers(
  files: Files,
  stack: readonly StackedDevice[],
  backends: readonly XenBackend[]
): Promise<readonly DeviceUser[]> {
  const [mountinfo = '', swaps = ''] = await Promise.all([
    files.read('/proc/self/mountinfo'),
    files.read('/proc/swaps'),
  ])
  const numberOf = createNodeNumbers(files)
  const mounts = await Promise.all(parseMountinfo(mountinfo).map(async mount => await placeMount(mount, numberOf)))
  const swapNodes = await Promise.all(
    swapPaths(swaps).map(async path => ({ name: path, numbers: [await numberOf(path)] }))
  )
  const served = await Promise.all(
    backends
      .filter(({ major, minor }) => stack.some(device => device.major === major && device.minor === minor))
      .map(async backend => ({ ...backend, ...(await readBackendStatus(files, backend)) }))
  )
  const byName = new Map(stack.map(device => [device.name, device]))
  return stack.flatMap(device => {
    const number = `${device.major}:${device.minor}`
    const user = (kind: DeviceUser['kind'], name: string): DeviceUser => ({ kind, device: device.name, name })
    const at = (tables: readonly Placed[]): readonly string[] =>
      tables.filter(({ numbers }) => numbers.includes(number)).map(({ name }) => name)
    return [
      ...device.holders
        .filter(name => byName.get(name)?.isVolume !== true)
        .map(name => user('holder', labelOf(name, byName.get(name)))),
      ...at(mounts).map(name => user('mount', name)),
      ...at(swapNodes).map(name => user('swap', name)),
      ...served
        .filter(backend => isOf(backend, device))
        .map(backend => ({ ...user('xen-backend', backend.name), ...stateOf(backend) })),
    ]
  })
}

/** Something in a table, and the numbers of the devices it may be on. */
interface Placed {
  readonly name: string
  readonly numbers: readonly (string | undefined)[]
}

type NodeNumbers = (path: string) => Promise<string | undefined>

/** The number of the device whose node a path is. Only below /dev, which answers from memory: elsewhere a server may be dead. */
function createNodeNumbers(files: Files): NodeNumbers {
  return async path => {
    if (!path.startsWith('/dev/') || path.includes('/../')) return undefined
    const stat = await files.stat(path)
    return stat?.kind === 'block' ? `${stat.device.major}:${stat.device.minor}` : undefined
  }
}

// btrfs has a number of its own, and tells only by its source which device it is on.
async function placeMount({ number, mountPoint, source }: MountedFileSystem, numberOf: NodeNumbers): Promise<Placed> {
  return { name: mountPoint, numbers: [number, await numberOf(source)] }
}

function swapPaths(swaps: string): readonly string[] {
  return swaps
    .split('\n')
    .slice(1)
    .map(line => line.split(/\s/)[0] ?? '')
}

function isOf(backend: XenBackend, { major, minor }: StackedDevice): boolean {
  return backend.major === major && backend.minor === minor
}

function stateOf({ state }: BackendStatus): Pick<DeviceUser, 'state'> {
  return state === undefined ? {} : { state }
}

// lvm2 lib/activate/dev_manager.c, cryptsetup lib/libdevmapper.c
const SUBSYSTEMS: Readonly<Record<string, string>> = { LVM: 'LVM', CRYPT: 'crypt', mpath: 'multipath' }

function labelOf(name: string, device: StackedDevice | undefined): string {
  if (device?.dm === undefined) return name
  const subsystem = SUBSYSTEMS[device.dm.uuid.split('-', 1)[0] ?? '']
  return subsystem === undefined ? device.dm.name : `${device.dm.name} (${subsystem})`
}
