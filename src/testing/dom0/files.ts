import { draftOf, type FileStat, type Files, type OpenFile } from '../../host/files.ts'
import type { Proc } from './proc.ts'
import type { SimulatedProcess } from './process.ts'
import { fileError, type Tree, type TreeNode, textFile } from './tree.ts'

/** The files port of one process: its view of the tree, call by call. Its own /proc/self is the one difference. */
export function createFiles(shared: Tree, process: SimulatedProcess, proc: Pick<Proc, 'openFile'>): Files {
  const tree = withSelf(shared, process.pid)
  /** Waits for ever where the file system does not answer. */
  const reach = async (path: string, isLink = false): Promise<TreeNode | undefined> => {
    checkNames(path)
    const node = tree.find(path, { isLink })
    if (node?.kind === 'hung') await new Promise(() => {})
    return node
  }
  /** Opens it, which ends on a FIFO only when somebody opens its other end. */
  const open = async (path: string, isLink = false): Promise<TreeNode | undefined> => {
    const node = await reach(path, isLink)
    if (node?.kind === 'fifo') await new Promise(() => {})
    return node
  }
  const statAt = async (path: string, isLink: boolean): Promise<FileStat | undefined> => {
    const node = await reach(path, isLink)
    return node === undefined ? undefined : statOf(node, tree)
  }
  return {
    read: async path => {
      await process.look(`read ${path}`)
      const node = await open(path)
      if (node === undefined) return undefined
      if (node.kind !== 'file') throw fileError('EISDIR', path)
      return toText(node.read())
    },
    readAt: async (path, offset, length, { isDirect = false } = {}) => {
      await process.look(`read ${path} at ${offset}`)
      const node = await open(path)
      if (node === undefined) throw fileError('ENOENT', path)
      if (node.kind === 'device') return await process.wait(node.read(offset, length, isDirect))
      if (node.kind !== 'file') throw fileError('EISDIR', path)
      return toBytes(node.read()).subarray(offset, offset + length)
    },
    list: async path => {
      await process.look(`list ${path}`)
      await reach(path)
      return tree.list(path)
    },
    readLink: async path => {
      await process.look(`readlink ${path}`)
      const node = await reach(path, true)
      return node?.kind === 'link' ? node.target : undefined
    },
    realpath: async path => {
      await process.look(`realpath ${path}`)
      checkNames(path)
      const found = tree.resolve(path)
      if (found !== undefined) await reach(found, true)
      return found
    },
    stat: async path => {
      await process.look(`stat ${path}`)
      return await statAt(path, false)
    },
    linkStat: async path => {
      await process.look(`lstat ${path}`)
      return await statAt(path, true)
    },
    openFiles: async pids => {
      await process.look(`open files of ${pids.length} processes`)
      const open = pids.flatMap(pid => tree.list(`/proc/${pid}/fd`).map(descriptor => [pid, descriptor] as const))
      return open.flatMap(([pid, descriptor]): readonly OpenFile[] => {
        const link = tree.find(`/proc/${pid}/fd/${descriptor}`, { isLink: true })
        if (link?.kind !== 'link' || !link.target.startsWith('/')) return []
        const info = tree.find(`/proc/${pid}/fdinfo/${descriptor}`)
        const text = info?.kind === 'file' ? toText(info.read()) : ''
        return [{ pid, descriptor, path: link.target, mount: /^mnt_id:\s*(\d+)$/m.exec(text)?.[1] }]
      })
    },
    statOpen: async (pid, descriptor) => {
      const path = `/proc/${pid}/fd/${descriptor}`
      await process.look(`stat ${path}`)
      return await statAt(path, false)
    },
    isClaimed: async path => {
      await process.look(`claim ${path}`)
      const node = await reach(path)
      if (node === undefined) return undefined
      return node.kind === 'device' && node.isClaimed()
    },
    write: async (path, content) => {
      await process.act(`write ${path}`)
      const node = await reach(path)
      if (node === undefined) return false
      if (node.kind === 'fifo') return true
      if (node.kind !== 'file') throw fileError('EISDIR', path)
      const written = node.write(content)
      tree.touch(node)
      if (written !== undefined) await process.wait(written)
      return true
    },
    replace: async (path, content, mode, scratch) => {
      const draft = draftOf(path, scratch)
      checkNames(path)
      checkNames(draft)
      const folder = draft.slice(0, draft.lastIndexOf('/'))
      if ((await reach(folder))?.kind !== 'directory') throw fileError('ENOENT', folder)
      await process.act(`create ${draft}`)
      if (tree.find(draft, { isLink: true })?.kind === 'directory') throw fileError('ERR_FS_EISDIR', draft)
      const file = textFile(content, mode)
      tree.put(draft, file)
      await process.act(`rename to ${path}`)
      if (tree.find(path, { isLink: true })?.kind === 'directory') throw fileError('EISDIR', path)
      tree.remove(draft)
      tree.put(path, file)
    },
    link: async (existing, path) => {
      await process.act(`link ${path}`)
      const node = await reach(existing, true)
      if (node === undefined) throw fileError('ENOENT', existing)
      if ((await reach(path, true)) !== undefined) return false
      tree.put(path, node)
      return true
    },
    remove: async path => {
      await process.act(`remove ${path}`)
      const node = await reach(path, true)
      if (node?.kind === 'directory') throw fileError('EISDIR', path)
      return node !== undefined && tree.remove(path)
    },
    makeDirectory: async (path, mode) => {
      if ((await reach(path))?.kind === 'directory') return
      await process.act(`mkdir ${path}`)
      tree.makeDirectory(path, mode)
    },
    removeDirectory: async path => {
      if ((await reach(path))?.kind !== 'directory' || tree.list(path).length > 0) return false
      await process.act(`rmdir ${path}`)
      return tree.list(path).length === 0 && tree.remove(path)
    },
    sync: async path => {
      await process.act(`sync ${path}`)
      const node = await open(path)
      if (node?.kind === 'device') await process.wait(node.sync())
      return node !== undefined
    },
    withDescriptor: async (path, use) => {
      if ((await reach(path, true)) === undefined) {
        await process.act(`create ${path}`)
        if (tree.find(path, { isLink: true }) === undefined) tree.put(path, textFile('', 0o600))
      }
      const node = await open(path, true)
      if (node === undefined) throw fileError('ENOENT', path)
      if (node.kind === 'link') throw fileError('ELOOP', path)
      if (node.kind === 'directory') throw fileError('EISDIR', path)
      const descriptor = process.open(tree.inodeOf(node))
      const hide = proc.openFile({ pid: process.pid, descriptor, path, node, flags: APPEND })
      try {
        return await use(descriptor)
      } finally {
        process.close(descriptor)
        hide()
      }
    },
  }
}

const APPEND = 0o102001 // O_LARGEFILE | O_APPEND | O_WRONLY

const NAME_MAX = 255

function checkNames(path: string): void {
  if (path.split('/').some(name => Buffer.byteLength(name) > NAME_MAX)) throw fileError('ENAMETOOLONG', path)
}

function withSelf(tree: Tree, pid: number): Tree {
  const own = (path: string): string => path.replace(/^\/proc\/self(?=\/|$)/, `/proc/${pid}`)
  return {
    ...tree,
    find: (path, options) => tree.find(own(path), options),
    resolve: path => tree.resolve(own(path)),
    list: path => tree.list(own(path)),
  }
}

const toText = (content: string | Uint8Array): string =>
  typeof content === 'string' ? content : new TextDecoder('latin1').decode(content)
const toBytes = (content: string | Uint8Array): Uint8Array =>
  typeof content === 'string' ? new TextEncoder().encode(content) : content

function statOf(node: TreeNode, tree: Tree): FileStat {
  const uid = 'uid' in node ? (node.uid ?? 0) : 0
  const [inode, mtimeMs] = [tree.inodeOf(node), tree.writtenMs(node)]
  const common = { sizeBytes: 0, uid, mtimeMs, inode, device: { major: 0, minor: 0 } }
  switch (node.kind) {
    case 'file':
      return { ...common, kind: 'file', sizeBytes: toBytes(node.read()).length, mode: node.mode }
    case 'device':
      return { ...common, kind: 'block', mode: 0o660, device: { major: node.major, minor: node.minor } }
    case 'directory':
      return { ...common, kind: 'directory', mode: node.mode, mtimeMs: node.changes }
    case 'fifo':
      return { ...common, kind: 'other', mode: node.mode }
    case 'hung':
    case 'link':
      return { ...common, kind: 'link', mode: 0o777 }
  }
}
