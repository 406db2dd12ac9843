import type { DeviceUser } from '../../core/error-details.ts'
import type { Files } from '../../host/files.ts'

type FilesOfProcesses = Pick<Files, 'read'>

/**
 * Whether it is udev, or a program that one of its rules runs, such as multipath or blkid: each reads a device that is new
 * or that somebody has written to, and is done with it in a moment. A process that is gone by now is done, too.
 */
export async function isOfUdev(files: FilesOfProcesses, { kind, name }: DeviceUser): Promise<boolean> {
  let [, pid] = (kind === 'process' && NAME.exec(name)) || []
  if (pid === undefined) return false
  if (UDEV.test(name)) return true
  for (let generation = 0; generation < MAX_GENERATIONS; generation++) {
    const stat: string | undefined = await files.read(`/proc/${pid}/stat`).catch(() => UNREADABLE)
    if (stat === undefined) return true
    const found: readonly string[] = STAT.exec(stat) ?? []
    const [, command = '', parent = '0'] = found
    if (generation > 0 && UDEV_COMMAND.test(command)) return true
    if (Number(parent) <= 1) return false
    pid = parent
  }
  return false
}

/** The guest a QEMU serves; undefined for what is no QEMU of a guest, or gone. */
export async function servedBy(
  files: FilesOfProcesses,
  { kind, name }: DeviceUser
): Promise<number | 'unknown' | undefined> {
  const [, pid] = (kind === 'process' && NAME.exec(name)) || []
  if (pid === undefined) return undefined
  const text = await files.read(`/proc/${pid}/cmdline`).catch(() => UNREADABLE)
  if (text === UNREADABLE) return 'unknown'
  const words = text?.split('\0') ?? []
  const at = words.indexOf('-xen-domid')
  const domid = at < 0 ? undefined : words[at + 1]
  // Dom0 attaches disks to itself, too.
  return domid !== undefined && /^[1-9]\d{0,4}$/.test(domid) ? Number(domid) : undefined
}

/** Too many open files, say: that tells nothing of the process. */
const UNREADABLE = ''
// As nameProcesses() does.
const NAME = /^(\d+) /
const UDEV = /^\d+ (?:\(udev-worker\)|systemd-udevd)$/
const UDEV_COMMAND = /^(?:\(udev-worker\)|systemd-udevd)$/
// A command may have brackets in its name.
const STAT = /^\d+ \((.*)\) \S (\d+) /s
/** A rule's program, its shell, and what they start. */
const MAX_GENERATIONS = 5
