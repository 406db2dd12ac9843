/** Where the block script meets its process; all it decides is in script.ts. */
import { spawn } from 'node:child_process'
import { appendFileSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { startupSnapshot } from 'node:v8'
import { createLocalHost } from '../host/local.ts'
import { argumentsOf, type LaterAction } from './action.ts'
import { cleanEnvironment } from './environment.ts'
import { runScript } from './script.ts'

const LOG = '/var/log/xen/xen-hotplug.log'
// USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture Xen runs on.
const TICK_MS = 10
const START_FIELD = 19

async function main(): Promise<void> {
  // A snapshot has no file of its own among the arguments.
  const isSnapshot = process.execArgv.includes('--snapshot-blob')
  const [file, args] = isSnapshot ? [undefined, process.argv.slice(1)] : [process.argv[1], process.argv.slice(2)]
  process.env = cleanEnvironment(process.env)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort(new Error(`ended by ${signal}`)))
  }
  const crash = new Promise<unknown>(resolve => {
    process.on('uncaughtException', resolve)
    process.on('unhandledRejection', resolve)
  })
  const operationId = `${process.pid}-${Math.round(Date.now()).toString(36)}`
  const lines: string[] = []
  const log = (line: string): void => {
    lines.push(line)
    append(`${new Date().toISOString()} block-xen-lun[${operationId}] ${line}\n`)
  }
  const startLater = (action: LaterAction): void => {
    const words = [...process.execArgv, ...(file === undefined ? [] : [file]), ...argumentsOf(action)]
    spawn(process.execPath, words, { detached: true, stdio: 'ignore', env: process.env }).unref()
  }
  const exitCode = await runScript(
    { args, env: process.env, spentMs: spentMs() },
    {
      host: createLocalHost(),
      operationId,
      log,
      complain: line => process.stderr.write(`${line}\n`),
      startLater,
      signal: stop.signal,
      crash,
    }
  )
  tellSyslog(operationId, lines.at(-1) ?? '', exitCode)
  // Not by itself: a process that hangs would keep this one, and the toolstack waits for its end.
  process.exit(exitCode)
}

/** A host without Xen's log folder has a reason for it. */
function append(text: string): void {
  try {
    appendFileSync(LOG, text)
  } catch {
    // Nothing depends on the log.
  }
}

/** Node cannot send datagrams to /dev/log, and nobody waits for util-linux's `logger`, which can. */
function tellSyslog(operationId: string, line: string, exitCode: number): void {
  const priority = exitCode === 0 ? 'daemon.info' : 'daemon.err'
  const words = ['-t', `block-xen-lun[${operationId}]`, '-p', priority, '--', line]
  spawn('logger', words, { detached: true, stdio: 'ignore', env: process.env })
    .on('error', () => {})
    .unref()
}

/** Since the toolstack started this process, or the launcher that became it; one that waits for it is hardly older. */
function spentMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_FIELD])
  const [uptime = '0'] = readFileSync('/proc/uptime', 'utf8').split(' ')
  return Math.max(0, Number(uptime) * 1000 - ticks * TICK_MS)
}

const start = (): void => {
  void main()
}

if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(start)
else start()
