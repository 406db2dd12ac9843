import type { FileStat, Files, OpenFile } from '../host/files.ts'
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
 * Looks at every file of every process, whatever the node is called that it opened, and at loop devices, which the kernel
 * opens for itself.
 */
export async function findOpenDevices(files: Files, inquiry: Inquiry): Promise<OpenDevices> {
  const byNumber = new Map<string, Opener[]>()
  const byName = new Map<string, Opener[]>()
  const look = createLook(files, inquiry)
  const pids = (await files.list('/proc')).filter(name => PID.test(name))
  for (const file of await files.openFiles(pids)) {
    const { number, name } = look.known(file) ?? (await look.find(file))
    if (number !== undefined) add(byNumber, number, { pid: file.pid })
    if (name !== undefined) add(byName, name, { pid: file.pid })
  }
  for (const loop of (await files.list('/sys/block')).filter(name => name.startsWith('loop'))) {
    const backing = (await files.read(`/sys/block/${loop}/loop/backing_file`))?.trim() ?? ''
    const number = backing.startsWith('/dev/') ? await numberOf(files.stat(backing)) : undefined
    if (number !== undefined) add(byNumber, number, { loop })
  }
  return { byNumber, byName }
}

const PID = /^\d+$/

function add(table: Map<string, Opener[]>, key: string, opener: Opener): void {
  table.set(key, [...(table.get(key) ?? []), opener])
}

/** The number of the block device a file is, or its name where nothing else can be told. */
interface Identity {
  readonly number?: string | undefined
  readonly name?: string
}

interface Look {
  /** What was found of such a file before: a path of a mount is one file, whoever has it open, unless it was deleted. */
  known(file: OpenFile): Identity | undefined
  find(file: OpenFile): Promise<Identity>
}

const DELETED = / \(deleted\)$/

async function numberOf(look: Promise<FileStat | undefined>): Promise<string | undefined> {
  const stat = await look.catch(() => undefined)
  return stat?.kind === 'block' ? `${stat.device.major}:${stat.device.minor}` : undefined
}

function createLook(files: Files, inquiry: Inquiry): Look {
  const mounts: MountTypes = createMountTypes(files)
  const seen = new Map<string, Identity>()
  const keyOf = ({ mount, path }: OpenFile): string => `${mount ?? ''} ${path}`
  const identify = async ({ pid, descriptor, path, mount }: OpenFile): Promise<Identity> => {
    const fsType = mount === undefined ? undefined : await mounts.typeOf(mount, pid)
    // Of a mount that no table shows there is nothing but the name.
    if (fsType === undefined) return { name: path.replace(DELETED, '') }
    if (!IN_MEMORY.has(fsType)) return {}
    // Following the link of any other one may mean to ask a server that is dead.
    const number = numberOf(files.statOpen(pid, descriptor))
    return { number: await inquiry.ask(`${path} of process ${pid}`, number) }
  }
  return {
    known: file => (DELETED.test(file.path) ? undefined : seen.get(keyOf(file))),
    find: async file => {
      const found = await identify(file)
      seen.set(keyOf(file), found)
      return found
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
