import { readdirSync, readFileSync } from 'node:fs'

// proc_pid_stat(5): utime, stime, cutime and cstime, counted from behind the name; USER_HZ is 100.
const FIRST_TIME = 11
const TIMES = 4
const TICK_MS = 10

/** Processor time by name of program, with that of its children that have ended. */
const timesByName = (): ReadonlyMap<string, number> => {
  const times = new Map<string, number>()
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const ticks = fields.slice(FIRST_TIME, FIRST_TIME + TIMES).reduce((sum, field) => sum + Number(field), 0)
      times.set(name, (times.get(name) ?? 0) + ticks * TICK_MS)
    } catch {
      // It has ended meanwhile.
    }
  }
  return times
}

/** Starts measuring; the function says who has used most processor time since, one line each. */
export const measureCpu = (): (() => readonly string[]) => {
  const before = timesByName()
  return () =>
    [...timesByName()]
      .map(([name, ms]) => [name, ms - (before.get(name) ?? 0)] as const)
      .filter(([, ms]) => ms >= 100)
      .toSorted(([, a], [, b]) => b - a)
      .map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`)
}
