import type { Files } from './files.ts'

/** A process, told apart from a later one of its number and from one in another container. */
export interface ProcessId {
  readonly pid: string
  /** Field 22 of /proc/PID/stat, proc_pid_stat(5). */
  readonly start: string
  /** Inode of its pid namespace: a number says nothing in another one. */
  readonly namespace: string
}

const TEXT = /^(\d+) (\d+) (\d+)$/

/** One line, without its end. */
export function formatProcessId({ pid, start, namespace }: ProcessId): string {
  return `${pid} ${start} ${namespace}`
}

export function parseProcessId(text: string): ProcessId | undefined {
  const [, pid, start, namespace] = TEXT.exec(text) ?? []
  return pid === undefined || start === undefined || namespace === undefined ? undefined : { pid, start, namespace }
}

export async function thisProcess(files: Files): Promise<ProcessId> {
  const pid = (await files.realpath('/proc/self'))?.slice('/proc/'.length) ?? '0'
  return { pid, start: (await startOf(files, pid)) ?? '0', namespace: await namespaceOf(files) }
}

/** True also for a process of another container, which cannot be seen from here. */
export async function isAlive(files: Files, { pid, start, namespace }: ProcessId): Promise<boolean> {
  if (namespace !== (await namespaceOf(files))) return true
  return (await startOf(files, pid)) === start
}

async function namespaceOf(files: Files): Promise<string> {
  return String((await files.stat('/proc/self/ns/pid'))?.inode ?? 0)
}

/** Clock ticks since boot; undefined for a process that is gone. */
export async function startOf(files: Files, pid: string): Promise<string | undefined> {
  const stat = await files.read(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : startIn(stat)
}

/** The same in the text of a /proc/PID/stat. */
export function startIn(stat: string): string | undefined {
  // The second field, the name in parentheses, may hold blanks and parentheses itself.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[FIELDS_BEHIND_NAME]
}

const FIELDS_BEHIND_NAME = 19
