import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { Daemon } from '../../test/scenarios/world.ts'
import { listNames, readText } from './files.ts'
import { until } from './until.ts'

/** A background daemon of dom0, with its log in a file. SIGTERM stops it. */
export interface LabDaemon extends Daemon {
  readonly name: string
  /** SIGKILL. */
  kill(): Promise<void>
  isRunning(): boolean
  /** The last lines of its log. */
  logTail(lines: number): string
}

export interface Daemons {
  readonly iscsid: LabDaemon
  readonly multipathd: LabDaemon
}

interface DaemonSpec {
  readonly name: string
  readonly args: readonly string[]
  /** Part of the name of the abstract socket on which it serves its clients. */
  readonly socket: string
}

const pidsOf = (name: string): number[] =>
  listNames('/proc')
    .filter(entry => /^\d+$/.test(entry) && readText(`/proc/${entry}/comm`) === name)
    // A dead one that nobody has waited for has no command line.
    .filter(entry => readText(`/proc/${entry}/cmdline`) !== '')
    .map(Number)

const signalAll = async (name: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
  for (const pid of pidsOf(name)) process.kill(pid, signal)
  await until(`the end of ${name}`, () => pidsOf(name).length === 0)
}

// setsid --fork makes init the parent: a daemon that is our child would count as one of the processes that we start,
// and its death would leave a zombie.
const launch = async (name: string, args: readonly string[], logFile: string): Promise<void> => {
  const log = openSync(logFile, 'a')
  try {
    await once(spawn('setsid', ['--fork', name, ...args], { stdio: ['ignore', log, log] }), 'exit')
  } finally {
    closeSync(log)
  }
}

const createDaemon = ({ name, args, socket }: DaemonSpec): LabDaemon => {
  const logFile = `/var/log/lab/${name}.log`
  const isRunning = (): boolean => pidsOf(name).length > 0
  return {
    name,
    isRunning,
    start: async () => {
      if (isRunning()) return
      await launch(name, args, logFile)
      await until(`the socket of ${name}`, () => readText('/proc/net/unix').includes(socket))
    },
    stop: () => signalAll(name, 'SIGTERM'),
    kill: () => signalAll(name, 'SIGKILL'),
    logTail: lines => readText(logFile).split('\n').slice(-lines).join('\n'),
  }
}

export const createDaemons = (): Daemons => ({
  iscsid: createDaemon({ name: 'iscsid', args: ['-f', '-d', '1'], socket: '@ISCSIADM' }),
  multipathd: createDaemon({ name: 'multipathd', args: ['-d', '-v2'], socket: 'multipathd' }),
})
