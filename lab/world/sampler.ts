import { setTimeout as delay } from 'node:timers/promises'
import { listNames, readText } from './files.ts'

/** What the command lines and environments of all processes were, at any moment since it began. */
export interface Sampler extends AsyncDisposable {
  /** Ends it and returns every different text. */
  stop(): Promise<ReadonlySet<string>>
}

const kernelThreads = '2'

const processes = (): readonly string[] => listNames('/proc').filter(name => /^\d+$/.test(name))

const parentOf = (pid: string): string => /\) \w (\d+) /.exec(readText(`/proc/${pid}/stat`))?.[1] ?? ''

/** Looks at all processes, over and over, and starts none itself. */
export const sampleProcesses = (): Sampler => {
  const seen = new Set<string>()
  // A hundred that never run a program would make each turn five times as long.
  const skipped = new Set(processes().filter(pid => parentOf(pid) === kernelThreads))
  let isStopped = false
  const run = async (): Promise<void> => {
    while (!isStopped) {
      for (const pid of processes()) {
        if (skipped.has(pid)) continue
        for (const name of ['cmdline', 'environ']) seen.add(readText(`/proc/${pid}/${name}`))
      }
      await delay(5)
    }
  }
  const running = run()
  // `stop` tells of its failure; nobody may listen yet.
  running.catch(() => {})
  const stop = async (): Promise<ReadonlySet<string>> => {
    isStopped = true
    await running
    return seen
  }
  return {
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop()
    },
  }
}
