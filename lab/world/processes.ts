import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises'
import type { Traced } from '../../test/scenarios/world.ts'
import { writeAttribute } from './files.ts'

const instance = '/sys/kernel/tracing/instances/lab'

const setTracing = async (on: 0 | 1): Promise<void> => {
  await writeAttribute(`${instance}/events/sched/sched_process_fork/enable`, on)
  await writeAttribute(`${instance}/events/sched/sched_process_exec/enable`, on)
}

/** Adds the children, and theirs, of what is in `family` to it. The kernel's "process" ids here are thread ids. */
const addDescendants = (family: Set<number>, trace: string): void => {
  const forks = [...trace.matchAll(/sched_process_fork: .*? pid=(\d+) child_comm=.* child_pid=(\d+)/g)]
  let size = -1
  // Lines of two processors may be out of order, hence until nothing is found any more.
  while (family.size !== size) {
    size = family.size
    for (const [, parent, child] of forks) if (family.has(Number(parent))) family.add(Number(child))
  }
}

const executedBy = (family: ReadonlySet<number>, trace: string): string[] =>
  [...trace.matchAll(/sched_process_exec: filename=(.*) pid=(\d+) old_pid=/g)]
    .filter(([, , pid]) => family.has(Number(pid)))
    .map(([, file = '']) => file.replace(/^.*\//, ''))

/**
 * Runs `action` and lists all programs started for it by this process, as the kernel saw it: nothing is wrapped, and
 * what udev or the daemons start meanwhile does not count.
 */
export const traceProcesses = async <T>(action: () => Promise<T>): Promise<Traced<T>> => {
  await mkdir(instance)
  try {
    const family = new Set((await readdir('/proc/self/task')).map(Number))
    await setTracing(1)
    const result = await action()
    await setTracing(0)
    const trace = await readFile(`${instance}/trace`, 'utf8')
    if (trace.includes('LOST')) throw new Error('the kernel lost trace events')
    addDescendants(family, trace)
    return { result, executed: executedBy(family, trace) }
  } finally {
    await rmdir(instance)
  }
}
