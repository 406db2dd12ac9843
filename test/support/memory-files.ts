import type { FileStat, Files } from '../../src/host/files.ts'

/** A file tree in memory: path to content. Folders exist where files are below them or where they were made. */
export interface MemoryFiles extends Files {
  readonly contents: Map<string, string>
  readonly links: Map<string, string>
  readonly modes: Map<string, number>
  /** Whose something is, where it is not root's. */
  readonly owners: Map<string, number>
  readonly directories: Set<string>
}

/** What a test starts from. Links map a path, or a folder above it, to where it really is. */
export interface MemoryTree {
  readonly files?: Readonly<Record<string, string>>
  readonly links?: Readonly<Record<string, string>>
  /** Block devices: path to `major:minor`. */
  readonly devices?: Readonly<Record<string, string>>
  /** Those of them that somebody has for himself. */
  readonly claimed?: readonly string[]
}

const LINK = { kind: 'link', sizeBytes: 0, mode: 0o777, uid: 0, mtimeMs: 0, device: { major: 0, minor: 0 } } as const

/** Files in memory, for tests of what reads sysfs or the node database. */
export function createMemoryFiles(tree: MemoryTree = {}): MemoryFiles {
  const contents = new Map(Object.entries(tree.files ?? {}))
  const links = new Map(Object.entries(tree.links ?? {}))
  const devices = new Map(Object.entries(tree.devices ?? {}))
  const modes = new Map<string, number>()
  const owners = new Map<string, number>()
  const directories = new Set<string>()
  const claimed = new Set(tree.claimed)
  const inodes = new Map<string, number>()
  let nextInode = 1

  const resolve = (path: string, depth = 0): string => {
    if (depth > 20) throw new Error(`too many links: ${path}`)
    const parts = path.split('/')
    for (let n = 1; n <= parts.length; n++) {
      const target = links.get(parts.slice(0, n).join('/'))
      if (target !== undefined) return resolve([target, ...parts.slice(n)].join('/'), depth + 1)
    }
    return path
  }
  const below = (path: string): string[] => [
    ...new Set(
      [...contents.keys(), ...links.keys(), ...devices.keys(), ...directories]
        .filter(name => name.startsWith(`${path}/`))
        .map(name => name.slice(path.length + 1).split('/')[0] ?? '')
    ),
  ]
  const inodeOf = (path: string): number => {
    const inode = inodes.get(path) ?? nextInode++
    inodes.set(path, inode)
    return inode
  }
  const isDirectory = (path: string): boolean => directories.has(path) || below(path).length > 0
  const exists = (path: string): boolean => contents.has(path) || devices.has(path) || isDirectory(path)

  const statOf = async (path: string): Promise<FileStat | undefined> => {
    const real = resolve(path)
    if (!exists(real)) return undefined
    const [major = 0, minor = 0] = (devices.get(real) ?? '0:0').split(':').map(Number)
    const kind = devices.has(real) ? 'block' : contents.has(real) ? 'file' : 'directory'
    const sizeBytes = contents.get(real)?.length ?? 0
    return {
      kind,
      sizeBytes,
      uid: owners.get(real) ?? 0,
      mode: modes.get(real) ?? 0o600,
      mtimeMs: 0,
      inode: inodeOf(real),
      device: { major, minor },
    }
  }

  return {
    contents,
    links,
    modes,
    owners,
    directories,
    read: async path => contents.get(resolve(path)),
    readAt: async (path, offset, length) =>
      new TextEncoder().encode(contents.get(resolve(path)) ?? '').slice(offset, offset + length),
    list: async path => below(resolve(path)).toSorted(),
    realpath: async path => (exists(resolve(path)) ? resolve(path) : undefined),
    readLink: async path => links.get(path),
    linkStat: async path => (links.has(path) ? { ...LINK, inode: inodeOf(path) } : await statOf(path)),
    openFiles: async pids =>
      pids
        .flatMap(pid => below(`/proc/${pid}/fd`).map(descriptor => [pid, descriptor] as const))
        .flatMap(([pid, descriptor]) => {
          const path = links.get(`/proc/${pid}/fd/${descriptor}`) ?? ''
          const [, mount] = /^mnt_id:\s*(\d+)$/m.exec(contents.get(`/proc/${pid}/fdinfo/${descriptor}`) ?? '') ?? []
          return path.startsWith('/') ? [{ pid, descriptor, path, mount }] : []
        }),
    isClaimed: async path => (devices.has(resolve(path)) ? claimed.has(resolve(path)) : undefined),
    stat: statOf,
    statOpen: async (pid, descriptor) => await statOf(`/proc/${pid}/fd/${descriptor}`),
    write: async (path, text) => {
      const real = resolve(path)
      if (!contents.has(real)) return false
      contents.set(real, text)
      return true
    },
    replace: async (path, text, mode) => {
      contents.set(resolve(path), text)
      inodes.set(resolve(path), nextInode++)
      modes.set(resolve(path), mode)
    },
    link: async (existing, path) => {
      if (exists(path)) return false
      contents.set(path, contents.get(existing) ?? '')
      modes.set(path, modes.get(resolve(existing)) ?? 0o600)
      inodes.set(path, inodeOf(resolve(existing)))
      return true
    },
    remove: async path => {
      inodes.delete(resolve(path))
      modes.delete(resolve(path))
      return contents.delete(resolve(path)) || links.delete(path)
    },
    makeDirectory: async path => {
      directories.add(path)
    },
    removeDirectory: async path => below(path).length === 0 && directories.delete(path),
    sync: async path => exists(resolve(path)),
    withDescriptor: async (path, use) => {
      if (!contents.has(resolve(path))) contents.set(resolve(path), '')
      return await use(0)
    },
  }
}
