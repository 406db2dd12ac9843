import type { BlockDevice } from './devices.ts'
import { attribute, link, type Tree, textFile } from './tree.ts'

/** A file system on a device. */
export interface Mount {
  readonly device: BlockDevice
  readonly source: string
  readonly mountPoint: string
}

/** /proc: processes and their open files, mounts, swap. */
export interface Proc {
  readonly mounts: Set<Mount>
  readonly swaps: Set<BlockDevice>
  /** Shows a process unless it is there already; started now. */
  addProcess(pid: number, command: readonly string[]): void
  removeProcess(pid: number): void
  /** Shows an open file; returns what closes it. */
  openFile(pid: number, path: string): () => void
}

/** Which boot of the host it is, and how long ago. */
interface Boot {
  readonly number: number
  readonly uptimeMs: () => number
}

const TICK_MS = 10
const COMM_LENGTH = 15 // TASK_COMM_LEN without its NUL
const KIB = 1024

export function createProc(tree: Tree, { number, uptimeMs }: Boot): Proc {
  const mounts = new Set<Mount>()
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
    addProcess: (pid, command) => {
      if (tree.find(`/proc/${pid}/stat`) !== undefined) return
      const comm = (command[0] ?? '').replace(/^.*\//, '').slice(0, COMM_LENGTH)
      const start = Math.floor(uptimeMs() / TICK_MS)
      tree.put(`/proc/${pid}/stat`, textFile(`${pid} (${comm}) S 1${' 0'.repeat(17)} ${start} 0\n`))
      tree.put(`/proc/${pid}/comm`, textFile(`${comm}\n`))
      tree.put(`/proc/${pid}/cmdline`, textFile(command.map(word => `${word}\0`).join('')))
      show(`${pid}/mountinfo`, () => [...mounts].map(mountLine).join(''))
    },
    removeProcess: pid => {
      tree.remove(`/proc/${pid}`)
    },
    openFile: (pid, path) => {
      const file = `/proc/${pid}/fd/${nextDescriptor++}`
      const node = link(path)
      tree.put(file, node)
      return () => {
        // After a reboot another process may have a file of that number.
        if (tree.find(file, { isLink: true }) === node) tree.remove(file)
      }
    },
  }
}

const FIRST_MOUNT_ID = 100

function mountLine({ device: { major, minor }, source, mountPoint }: Mount, index: number): string {
  // Blanks are escaped in octal, proc_pid_mountinfo(5).
  const place = mountPoint.replaceAll(' ', '\\040')
  return `${FIRST_MOUNT_ID + index} 1 ${major}:${minor} / ${place} rw,relatime shared:1 - ext4 ${source} rw\n`
}

function swapLine({ name, sizeBytes }: BlockDevice): string {
  return `/dev/${name}\tpartition\t${Math.floor(sizeBytes / KIB)}\t0\t-2\n`
}
