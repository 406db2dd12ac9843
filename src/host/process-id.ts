import type { Files } from './files.ts'

/** A process, told apart from a later one of its number and from one in another container. */
export interface ProcessId {
  readonly pid: string
  /** Field 22 of /proc/PID/stat, proc_pid_stat(5), as it is read in the process' own time namespace. */
  readonly start: string
  /** Inode of its pid namespace: a number says nothing in another one. */
  readonly namespace: string
  /** Inode of its time namespace, in which all start times are shifted; undefined where it was not noted. */
  readonly timeNamespace: string | undefined
}

/** Older versions did not write the last number. */
const TEXT = /^(\d+) (\d+) (\d+)(?: (\d+))?$/

/** One line, without its end. */
export function formatProcessId({ pid, start, namespace, timeNamespace }: ProcessId): string {
  return [pid, start, namespace, ...(timeNamespace === undefined ? [] : [timeNamespace])].join(' ')
}

export function parseProcessId(text: string): ProcessId | undefined {
  const [, pid, start, namespace, timeNamespace] = TEXT.exec(text) ?? []
  if (pid === undefined || start === undefined || namespace === undefined) return undefined
  return { pid, start, namespace, timeNamespace }
}

export async function thisProcess(files: Files): Promise<ProcessId> {
  const pid = (await files.realpath('/proc/self'))?.slice('/proc/'.length) ?? '0'
  return {
    pid,
    start: (await startOf(files, pid)) ?? '0',
    namespace: await namespaceOf(files, 'pid'),
    timeNamespace: await namespaceOf(files, 'time'),
  }
}

/** True also for a process that cannot be judged from here: of another container, or seen from another time namespace. */
export async function isAlive(files: Files, { pid, start, namespace, timeNamespace }: ProcessId): Promise<boolean> {
  if (namespace !== (await namespaceOf(files, 'pid'))) return true
  const stat = await files.read(`/proc/${pid}/stat`)
  if (stat === undefined) return false
  if (startIn(stat) === start) return !isOver(stat)
  const ours = await namespaceOf(files, 'time')
  return ours !== NONE && ours !== timeNamespace
}

/** The kernel has no such namespaces, so there is one of them only. */
const NONE = '0'

async function namespaceOf(files: Files, kind: 'pid' | 'time'): Promise<string> {
  return String((await files.stat(`/proc/self/ns/${kind}`))?.inode ?? NONE)
}

/** Clock ticks since boot; undefined for a process that is gone. */
export async function startOf(files: Files, pid: string): Promise<string | undefined> {
  const stat = await files.read(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : startIn(stat)
}

/** The same in the text of a /proc/PID/stat. */
export function startIn(stat: string): string | undefined {
  return fieldsOf(stat)[START]
}

/** It has ended and let go of everything; only its parent has not asked yet how it ended. */
function isOver(stat: string): boolean {
  const fields = fieldsOf(stat)
  // The first thread of a process is a zombie, too, while another one is still at work in the kernel.
  return ['Z', 'X'].includes(fields[STATE] ?? '') && Number(fields[THREADS]) <= 1
}

/** Fields 3 and on of proc_pid_stat(5): the second one, the name in parentheses, may hold blanks and parentheses itself. */
function fieldsOf(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

// Fields 3, 20 and 22.
const STATE = 0
const THREADS = 17
const START = 19
