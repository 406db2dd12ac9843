import type { Files } from '../host/files.ts'
import { uptimeMs } from '../lun/journal/uptime.ts'

// USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture Xen runs on.
const TICK_MS = 10

/** How long ago a process was started, by field 22 of its proc_pid_stat(5). */
export async function sinceStartMs(files: Files, start: string): Promise<number> {
  return Math.max(0, (await uptimeMs(files)) - Number(start) * TICK_MS)
}
