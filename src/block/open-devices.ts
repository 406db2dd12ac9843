import type { Files } from '../host/files.ts'
import type { Inquiry } from './inquiry.ts'
import { createMountTypes, type MountTypes } from './mount-types.ts'

/** Which block devices processes have open, and loop devices. */
export interface OpenDevices {
  /** By the device's number, as `8:16`: numbers of processes, and names of loop devices. */
  readonly byNumber: ReadonlyMap<string, readonly Opener[]>
  /** By the name of a file of which nothing else is known. */
  readonly byName: ReadonlyMap<string, readonly Opener[]>
}

/** One who has a device open. */
export type Opener = { readonly pid: string } | { readonly loop: string }

/**
 * Looks at every descriptor of every process, whatever the node is called that it opened, and at loop devices, which the
 * kernel opens for itself.
 */
export async function findOpenDevices(files: Files, inquiry: Inquiry): Promise<OpenDevices> {
  const byNumber = new Map<string, Opener[]>()
  const byName = new Map<string, Opener[]>()
  const look = createLook(files, inquiry)
  for (const pid of (await files.list('/proc')).filter(name => /^\d+$/.test(name))) {
    const names = await files.list(`/proc/${pid}/fd`).catch(() => [])
    const open = await Promise.all(names.map(async descriptor => await look.fileOf(pid, descriptor)))
    for (const number of new Set(open.map(file => file?.number)))
      if (number !== undefined) add(byNumber, number, { pid })
    for (const name of new Set(open.map(file => file?.name))) if (name !== undefined) add(byName, name, { pid })
  }
  for (const loop of (await files.list('/sys/block')).filter(name => name.startsWith('loop'))) {
    const backing = (await files.read(`/sys/block/${loop}/loop/backing_file`))?.trim() ?? ''
    const number = backing.startsWith('/dev/') ? await numberOf(files, backing) : undefined
    if (number !== undefined) add(byNumber, number, { loop })
  }
  return { byNumber, byName }
}

function add(table: Map<string, Opener[]>, key: string, opener: Opener): void {
  table.set(key, [...(table.get(key) ?? []), opener])
}

/** An open file: the number of the device it is, or its name where nothing else can be told. */
interface OpenFile {
  readonly number?: string | undefined
  readonly name?: string
}

interface Look {
  /** Undefined for what is surely no block device. */
  fileOf(pid: string, descriptor: string): Promise<OpenFile | undefined>
}

const DELETED = / \(deleted\)$/

async function numberOf(files: Files, path: string): Promise<string | undefined> {
  const stat = await files.stat(path).catch(() => undefined)
  return stat?.kind === 'block' ? `${stat.device.major}:${stat.device.minor}` : undefined
}

function createLook(files: Files, inquiry: Inquiry): Look {
  const mounts: MountTypes = createMountTypes(files)
  const numbers = new Map<string, Promise<string | undefined>>()
  return {
    fileOf: async (pid, descriptor) => {
      const path = `/proc/${pid}/fd/${descriptor}`
      // What the link says, the kernel has in memory. Following it may mean to ask a server that is dead.
      const text = (await files.readLink(path).catch(() => undefined)) ?? ''
      if (!text.startsWith('/')) return undefined
      const mount = mountOf(await files.read(`/proc/${pid}/fdinfo/${descriptor}`).catch(() => undefined))
      const fsType = mount === undefined ? undefined : await mounts.typeOf(mount, pid)
      // Of a mount that no table shows there is nothing but the name.
      if (fsType === undefined) return { name: text.replace(DELETED, '') }
      if (!IN_MEMORY.has(fsType)) return undefined
      const follow = async (): Promise<string | undefined> =>
        await inquiry.ask(`${text} of process ${pid}`, numberOf(files, path))
      // A path of a mount is one file, whoever has it open, unless it was deleted.
      if (DELETED.test(text)) return { number: await follow() }
      const key = `${mount} ${text}`
      const number = numbers.get(key) ?? follow()
      numbers.set(key, number)
      return { number: await number }
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
