/** Something in a file tree. */
export type TreeNode = TreeDirectory | TreeFile | TreeLink | TreeDevice | TreeFifo | TreeHung

export interface TreeDirectory {
  readonly kind: 'directory'
  readonly entries: Map<string, TreeNode>
  /** Changes whenever an entry comes or goes. */
  changes: number
  readonly mode: number
  readonly uid: number
}

export interface TreeFile {
  readonly kind: 'file'
  readonly mode: number
  /** Default 0: root's. */
  readonly uid?: number
  /** May throw what a read of such a file throws. */
  readonly read: () => string | Uint8Array
  /** Of an attribute that takes its time, settles when it is done. */
  readonly write: (text: string) => void | Promise<void>
}

export interface TreeLink {
  readonly kind: 'link'
  /** From the root or, without a slash in front, from the folder it is in. */
  readonly target: string
  /** What it leads to whatever `target` says, as links in /proc do; `resolve` goes by what they say. */
  readonly node?: TreeNode
  readonly uid?: number
}

/** Nobody ever has the other end open: whoever opens this one waits for ever. */
export interface TreeFifo {
  readonly kind: 'fifo'
  readonly mode: number
  readonly uid: number
}

/** The root of a file system that does not answer: whatever goes there waits for ever. */
export interface TreeHung {
  readonly kind: 'hung'
}

/** A block device node. Reads and writes settle when the device answers. */
export interface TreeDevice {
  readonly kind: 'device'
  readonly major: number
  readonly minor: number
  readonly read: (offset: number, length: number, isDirect: boolean) => Promise<Uint8Array>
  readonly write: (offset: number, data: Uint8Array) => Promise<void>
  readonly sync: () => Promise<void>
  /** Whether the kernel refuses it to one who wants it alone. */
  readonly isClaimed: () => boolean
}

/** A file that keeps what is written to it. */
export function textFile(text: string, mode = 0o644, uid = 0): TreeFile {
  let content = text
  return {
    kind: 'file',
    mode,
    uid,
    read: () => content,
    write: changed => {
      content = changed
    },
  }
}

/** An attribute of sysfs: what it shows, and what a write to it does. */
export function attribute(read: () => string | Uint8Array, write: TreeFile['write'] = () => {}): TreeFile {
  return { kind: 'file', mode: 0o644, read, write }
}

export function link(target: string): TreeLink {
  return { kind: 'link', target }
}

export const hung: TreeHung = { kind: 'hung' }

/** A file system. Paths are absolute. */
export interface Tree {
  /** Follows links, except a last one with `isLink`. Whatever is below something that hangs is that. */
  find(path: string, options?: { readonly isLink?: boolean }): TreeNode | undefined
  /** Where a path ends when all links are followed. */
  resolve(path: string): string | undefined
  /** Puts a node there, with its parents. */
  put(path: string, node: TreeNode): void
  /** With its parents; those that are there stay as they are. */
  makeDirectory(path: string, mode?: number): void
  /** Takes a node away, with all below it. */
  remove(path: string): boolean
  /** Names in a directory, sorted; none where there is none. */
  list(path: string): readonly string[]
  /** A number for each node, never given twice. */
  inodeOf(node: TreeNode): number
  /** When a file was written last. */
  writtenMs(node: TreeNode): number
  /** A file was written. */
  touch(node: TreeNode): void
}

const MAX_LINKS = 40

/** Files are as old as `nowMs` says, which is the host's clock on the wall. */
export function createTree(nowMs: () => number = () => 0): Tree {
  const root = directory()
  const inodes = new WeakMap<TreeNode, number>()
  const written = new WeakMap<TreeNode, number>()
  let nextInode = 1

  const walk = (
    path: string,
    isLink: boolean,
    isByText = false
  ): { readonly node: TreeNode; readonly path: string } | undefined => {
    let parts = namesOf(path)
    let place = ''
    let node: TreeNode = root
    let links = 0
    while (parts.length > 0) {
      const [name = '', ...rest] = parts
      if (node.kind === 'hung') break
      if (node.kind !== 'directory') return undefined
      const child: TreeNode | undefined = node.entries.get(name)
      if (child === undefined) return undefined
      if (child.kind === 'link' && !(isLink && rest.length === 0)) {
        if (++links > MAX_LINKS) return undefined
        if (child.node !== undefined && !isByText) {
          place = child.target
          node = child.node
          parts = rest
          continue
        }
        parts = [...namesOf(targetOf(place, child)), ...rest]
        place = ''
        node = root
        continue
      }
      place = `${place}/${name}`
      node = child
      parts = rest
    }
    return { node, path: place === '' ? '/' : place }
  }
  const makeDirectory = (path: string, mode?: number): TreeDirectory => {
    let node = root
    let place = ''
    for (const name of namesOf(path)) {
      let child = node.entries.get(name)
      if (child?.kind === 'link') child = walk(`${place}/${name}`, false)?.node
      place = `${place}/${name}`
      if (child === undefined) {
        child = directory(mode)
        node.entries.set(name, child)
        node.changes++
      }
      if (child.kind !== 'directory') throw fileError('ENOTDIR', path)
      node = child
    }
    return node
  }
  const split = (path: string): readonly [parent: string, name: string] => {
    const at = path.lastIndexOf('/')
    return [path.slice(0, at), path.slice(at + 1)]
  }
  return {
    find: (path, { isLink = false } = {}) => walk(path, isLink)?.node,
    resolve: path => walk(path, false, true)?.path,
    put: (path, node) => {
      const [parent, name] = split(path)
      const folder = makeDirectory(parent)
      // A rename and a hard link write nothing.
      if (!written.has(node)) written.set(node, nowMs())
      folder.entries.set(name, node)
      folder.changes++
    },
    makeDirectory: (path, mode) => {
      makeDirectory(path, mode)
    },
    remove: path => {
      const [parent, name] = split(path)
      const folder = walk(parent, false)?.node
      if (folder?.kind !== 'directory' || !folder.entries.delete(name)) return false
      folder.changes++
      return true
    },
    list: path => {
      const node = walk(path, false)?.node
      return node?.kind === 'directory' ? [...node.entries.keys()].toSorted() : []
    },
    inodeOf: node => {
      const inode = inodes.get(node) ?? nextInode++
      inodes.set(node, inode)
      return inode
    },
    writtenMs: node => written.get(node) ?? 0,
    touch: node => {
      written.set(node, nowMs())
    },
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter(part => part !== '')
}

/** Where a link in the folder `place` leads. */
function targetOf(place: string, { target }: TreeLink): string {
  const found: string[] = target.startsWith('/') ? [] : namesOf(place)
  for (const name of namesOf(target)) {
    if (name === '..') found.pop()
    else if (name !== '.') found.push(name)
  }
  return `/${found.join('/')}`
}

export function directory(mode = 0o755, uid = 0): TreeDirectory {
  return { kind: 'directory', entries: new Map(), changes: 0, mode, uid }
}

/** An error as Node's fs has it. */
export function fileError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}
