import type { Files } from '../host/files.ts'

/** A process, told apart from a later one of the same number by when it started. */
export interface LockHolder {
  readonly pid: string
  /** Field 22 of /proc/PID/stat, proc_pid_stat(5). */
  readonly start: string
}

const LINE = /^xen-lun (\d+) (\d+)\n$/

export function formatHolder({ pid, start }: LockHolder): string {
  return `xen-lun ${pid} ${start}\n`
}

/** Undefined for a lock that is not ours. */
export function parseHolder(text: string): LockHolder | undefined {
  const [, pid, start] = LINE.exec(text) ?? []
  return pid === undefined || start === undefined ? undefined : { pid, start }
}

export async function thisProcess(files: Files): Promise<LockHolder> {
  const pid = (await files.realpath('/proc/self'))?.slice('/proc/'.length) ?? '0'
  return { pid, start: (await startOf(files, pid)) ?? '0' }
}

/** When a process started; undefined when there is none of that number. */
export async function startOf(files: Files, pid: string): Promise<string | undefined> {
  const stat = await files.read(`/proc/${pid}/stat`)
  // The second field, the name in parentheses, may hold blanks and parentheses itself.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[FIELDS_BEHIND_NAME]
}

const FIELDS_BEHIND_NAME = 19
