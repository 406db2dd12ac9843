import type { BlockDevice } from './devices.ts'
import { createMountNamespace, type MountNamespace } from './mounts.ts'
import { attribute, type Tree, type TreeLink, type TreeNode, textFile } from './tree.ts'

/** /proc: processes and their open files, mounts, swap. */
export interface Proc {
  /** What all processes see but those of other namespaces. */
  readonly mounts: MountNamespace
  readonly swaps: Set<BlockDevice>
  /** Shows a process unless it is there already; started now, by `parent` or by init. */
  addProcess(pid: number, command: readonly string[], parent?: number): void
  removeProcess(pid: number): void
  /** What a process sees. */
  mountsOf(pid: number): MountNamespace
  /** Gives a process a mount namespace of its own, unless it has one. */
  unshare(pid: number): MountNamespace
  /** A number for a file system without a device of its own: `0:40`. */
  anonymousNumber(): string
  /** Shows an open file; returns what closes it. */
  openFile(file: ShownFile): () => void
}

/** An open file as a process sees it. */
export interface ShownFile {
  readonly pid: number
  /** Default: one that nobody has. */
  readonly descriptor?: number
  /** What the link says, as long as the file has this name. */
  readonly path: string
  readonly node: TreeNode
  /** Default: read and write. */
  readonly flags?: number
}

/** Which boot of the host it is, and how long ago. */
interface Boot {
  readonly number: number
  readonly uptimeMs: () => number
}

const INIT_PID = 1
const TICK_MS = 10
const COMM_LENGTH = 15 // TASK_COMM_LEN without its NUL
const KIB = 1024
const READ_WRITE = 0o100002 // O_LARGEFILE | O_RDWR
const FIRST_MOUNT_ID = 21
const FIRST_ANONYMOUS = 40

export function createProc(tree: Tree, { number, uptimeMs }: Boot): Proc {
  let lastMountId = FIRST_MOUNT_ID
  let lastAnonymous = FIRST_ANONYMOUS
  const createMounts = (): MountNamespace => createMountNamespace(() => lastMountId++)
  const mounts = createMounts()
  const elsewhere = new Map<number, MountNamespace>()
  const mountsOf = (pid: number): MountNamespace => elsewhere.get(pid) ?? mounts
  const swaps = new Set<BlockDevice>()
  const bootId = `5c1f8d2e-0b7a-4c39-9e64-${String(number).padStart(12, '0')}`
  let nextDescriptor = 3
  const show = (path: string, read: () => string): void => tree.put(`/proc/${path}`, attribute(read))
  show('uptime', () => `${(uptimeMs() / 1000).toFixed(2)} 0.00\n`)
  show('sys/kernel/random/boot_id', () => `${bootId}\n`)
  show('swaps', () => `Filename\tType\tSize\tUsed\tPriority\n${[...swaps].map(swapLine).join('')}`)
  return {
    mounts,
    swaps,
    addProcess: (pid, command, parent = INIT_PID) => {
      if (tree.find(`/proc/${pid}/stat`) !== undefined) return
      const comm = (command[0] ?? '').replace(/^.*\//, '').slice(0, COMM_LENGTH)
      const start = Math.floor(uptimeMs() / TICK_MS)
      tree.put(`/proc/${pid}/stat`, textFile(`${pid} (${comm}) S ${parent}${' 0'.repeat(17)} ${start} 0\n`))
      tree.put(`/proc/${pid}/comm`, textFile(`${comm}\n`))
      tree.put(`/proc/${pid}/cmdline`, textFile(command.map(word => `${word}\0`).join('')))
      show(`${pid}/mountinfo`, () => mountsOf(pid).text())
    },
    removeProcess: pid => {
      tree.remove(`/proc/${pid}`)
      elsewhere.delete(pid)
    },
    mountsOf,
    unshare: pid => {
      const own = elsewhere.get(pid) ?? createMounts()
      elsewhere.set(pid, own)
      return own
    },
    anonymousNumber: () => `0:${lastAnonymous++}`,
    openFile: ({ pid, descriptor = nextDescriptor++, path, node, flags = READ_WRITE }) => {
      const file = `/proc/${pid}/fd/${descriptor}`
      const shown: TreeLink = {
        kind: 'link',
        node,
        get target() {
          return node.kind === 'file' && tree.find(path) !== node ? `${path} (deleted)` : path
        },
      }
      tree.put(file, shown)
      const info = `/proc/${pid}/fdinfo/${descriptor}`
      const inode = tree.inodeOf(node)
      tree.put(
        info,
        attribute(
          () => `pos:\t0\nflags:\t0${flags.toString(8)}\nmnt_id:\t${mountsOf(pid).idOf(path)}\nino:\t${inode}\n`
        )
      )
      return () => {
        // After a reboot another process may have a file of that number.
        if (tree.find(file, { isLink: true }) !== shown) return
        tree.remove(file)
        tree.remove(info)
      }
    },
  }
}

function swapLine({ name, sizeBytes }: BlockDevice): string {
  return `/dev/${name}\tpartition\t${Math.floor(sizeBytes / KIB)}\t0\t-2\n`
}
