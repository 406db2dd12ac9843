import { setTimeout as delay } from 'node:timers/promises'
import { listNames, readText } from './files.ts'

/** A daemon that hangs. Goes on at the end of its block at the latest. */
export interface Pause extends AsyncDisposable {
  /** Lets it go on after a time. */
  endAfter(ms: number): Promise<void>
}

export const pauseDaemon = async (name: string): Promise<Pause> => {
  const pids = listNames('/proc')
    .filter(entry => /^\d+$/.test(entry) && readText(`/proc/${entry}/comm`) === name)
    .map(Number)
  if (pids.length === 0) throw new Error(`${name} does not run`)
  const signal = (what: NodeJS.Signals): void => {
    for (const pid of pids) process.kill(pid, what)
  }
  signal('SIGSTOP')
  return {
    endAfter: async ms => {
      await delay(ms)
      signal('SIGCONT')
    },
    [Symbol.asyncDispose]: async () => signal('SIGCONT'),
  }
}
