import type { DeviceUser } from '../core/error-details.ts'
import { printable } from '../core/printable.ts'
import type { Files } from '../host/files.ts'
import type { BlockDevice } from './block-device.ts'
import type { Inquiry } from './inquiry.ts'
import { createMountTypes, type MountTypes } from './mount-types.ts'

/**
 * Processes that hold one of these devices open, whatever the node is called that they opened, by looking at every
 * descriptor; and loop devices, which the kernel opens for itself.
 */
export async function findProcesses(
  files: Files,
  devices: readonly BlockDevice[],
  inquiry: Inquiry
): Promise<readonly DeviceUser[]> {
  const look = createLook(files, devices, inquiry)
  const found: DeviceUser[] = []
  for (const pid of (await files.list('/proc')).filter(name => /^\d+$/.test(name))) {
    const names = await files.list(`/proc/${pid}/fd`).catch(() => [])
    const open = await Promise.all(names.map(async descriptor => await look.deviceOf(pid, descriptor)))
    const used = new Set(open.filter(device => device !== undefined))
    if (used.size === 0) continue
    const command = printable((await files.read(`/proc/${pid}/comm`)) ?? '?')
    found.push(...[...used].map((device): DeviceUser => ({ kind: 'process', device, name: `${pid} ${command}` })))
  }
  return [...found, ...(await loopDevices(files, look))]
}

interface Look {
  /** The device a descriptor is of, if it is one of those looked for. */
  deviceOf(pid: string, descriptor: string): Promise<string | undefined>
  /** The device a path below /dev is the node of, if it is one of those looked for. */
  deviceAt(path: string): Promise<string | undefined>
}

const DELETED = / \(deleted\)$/

function createLook(files: Files, devices: readonly BlockDevice[], inquiry: Inquiry): Look {
  const names = new Map(devices.map(({ name, major, minor }) => [`${major}:${minor}`, name]))
  const nodes = new Map(
    devices.flatMap(
      ({ name, dm }) =>
        [[`/dev/${name}`, name], ...(dm === undefined ? [] : [[`/dev/mapper/${dm.name}`, name]])] as [string, string][]
    )
  )
  const mounts: MountTypes = createMountTypes(files)
  const numbers = new Map<string, Promise<string | undefined>>()
  const numberOf = async (path: string): Promise<string | undefined> => {
    const stat = await files.stat(path).catch(() => undefined)
    return stat?.kind === 'block' ? `${stat.device.major}:${stat.device.minor}` : undefined
  }
  return {
    deviceAt: async path => (path.startsWith('/dev/') ? names.get((await numberOf(path)) ?? '') : undefined),
    deviceOf: async (pid, descriptor) => {
      const path = `/proc/${pid}/fd/${descriptor}`
      // What the link says, the kernel has in memory. Following it may mean to ask a server that is dead.
      const text = (await files.readLink(path).catch(() => undefined)) ?? ''
      if (!text.startsWith('/')) return undefined
      const mount = mountOf(await files.read(`/proc/${pid}/fdinfo/${descriptor}`).catch(() => undefined))
      const fsType = mount === undefined ? undefined : await mounts.typeOf(mount, pid)
      // Of a mount that no table shows there is nothing but the name.
      if (fsType === undefined) return nodes.get(text.replace(DELETED, ''))
      if (!IN_MEMORY.has(fsType)) return undefined
      const follow = async (): Promise<string | undefined> =>
        await inquiry.ask(`${text} of process ${pid}`, numberOf(path))
      // A path of a mount is one file, whoever has it open, unless it was deleted.
      if (DELETED.test(text)) return names.get((await follow()) ?? '')
      const key = `${mount} ${text}`
      const number = numbers.get(key) ?? follow()
      numbers.set(key, number)
      return names.get((await number) ?? '')
    },
  }
}

/**
 * File systems that know of an open file without asking anybody. A block device's node may be on any of them. It is taken
 * to be on none of the others, such as nfs, cifs, fuse, 9p, ceph or autofs.
 */
const IN_MEMORY: ReadonlySet<string> = new Set(
  (
    'devtmpfs tmpfs ramfs rootfs overlay aufs squashfs erofs iso9660 ' +
    'ext2 ext3 ext4 xfs btrfs bcachefs f2fs jfs reiserfs zfs'
  ).split(' ')
)

function mountOf(fdinfo: string | undefined): string | undefined {
  return /^mnt_id:\s*(\d+)$/m.exec(fdinfo ?? '')?.[1]
}

async function loopDevices(files: Files, look: Look): Promise<readonly DeviceUser[]> {
  const loops = (await files.list('/sys/block')).filter(name => name.startsWith('loop'))
  const found = await Promise.all(
    loops.map(async (name): Promise<readonly DeviceUser[]> => {
      const backing = (await files.read(`/sys/block/${name}/loop/backing_file`))?.trim() ?? ''
      const device = await look.deviceAt(backing)
      return device === undefined ? [] : [{ kind: 'holder', device, name }]
    })
  )
  return found.flat()
}
