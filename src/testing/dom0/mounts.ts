/** A file system at its place. */
export interface Mount {
  /** `8:0`; of a file system without a device of its own, as btrfs, tmpfs and NFS, one of those that begin with `0:`. */
  readonly number: string
  readonly fsType: string
  readonly source: string
  readonly mountPoint: string
}

/** What is mounted, as some processes see it. */
export interface MountNamespace {
  /** Returns what unmounts it. */
  add(mount: Mount): () => void
  /** `mountinfo` */
  text(): string
  has(mountPoint: string): boolean
  /** The id of the mount a path lies on. */
  idOf(path: string): number
}

/** Debian's; where others are there is nothing that this library reads. */
const BASE: readonly (readonly [number: string, mountPoint: string, fsType: string, source: string])[] = [
  ['259:2', '/', 'ext4', '/dev/nvme0n1p2'],
  ['0:21', '/sys', 'sysfs', 'sysfs'],
  ['0:22', '/proc', 'proc', 'proc'],
  ['0:6', '/dev', 'devtmpfs', 'udev'],
  ['0:25', '/run', 'tmpfs', 'tmpfs'],
]

/** Ids are the kernel's: no two namespaces have one in common. */
export function createMountNamespace(nextId: () => number): MountNamespace {
  const mounts = new Map<number, Mount>()
  const idOf = (path: string): number => {
    const above = [...mounts].filter(([, { mountPoint }]) => isBelow(path, mountPoint))
    return above.toSorted(([, a], [, b]) => a.mountPoint.length - b.mountPoint.length).at(-1)?.[0] ?? 1
  }
  const lines = new Map<number, string>()
  const add = (mount: Mount): (() => void) => {
    const parent = idOf(mount.mountPoint)
    const id = nextId()
    mounts.set(id, mount)
    lines.set(id, lineOf(id, parent, mount))
    return () => {
      mounts.delete(id)
      lines.delete(id)
    }
  }
  for (const [number, mountPoint, fsType, source] of BASE) add({ number, mountPoint, fsType, source })
  const has = (mountPoint: string): boolean => [...mounts.values()].some(each => each.mountPoint === mountPoint)
  return { add, has, idOf, text: () => [...lines.values()].join('') }
}

function isBelow(path: string, mountPoint: string): boolean {
  return mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
}

function lineOf(id: number, parent: number, { number, fsType, source, mountPoint }: Mount): string {
  // Blanks are escaped in octal, proc_pid_mountinfo(5).
  const escaped = (text: string): string => text.replaceAll(' ', String.raw`\040`)
  return `${id} ${parent} ${number} / ${escaped(mountPoint)} rw,relatime shared:1 - ${fsType} ${escaped(source)} rw\n`
}
