/** Where the block script meets its process; all it decides is in script.ts and server.ts. */
import process from 'node:process'
import { startupSnapshot } from 'node:v8'
import type { Host } from '../host/host.ts'
import { createLocalHost } from '../host/local.ts'
import { thisProcess } from '../host/process-id.ts'
import { sinceStartMs } from './age.ts'
import { cleanEnvironment } from './environment.ts'
import { openAnswer } from './process/answer.ts'
import { startDetached } from './process/detached.ts'
import { appendLog, createSyslog } from './process/logs.ts'
import { watchFolder } from './process/waiting-room.ts'
import { SERVE } from './room.ts'
import { runScript } from './script.ts'
import { type ServedCall, type ServerPorts, serve } from './server.ts'

type Common = Pick<ServerPorts, 'run' | 'crash'> & { readonly host: Host }

async function main(): Promise<void> {
  // A snapshot has no file of its own among the arguments.
  const isSnapshot = process.execArgv.includes('--snapshot-blob')
  const [file, args] = isSnapshot ? [[], process.argv.slice(1)] : [process.argv.slice(1, 2), process.argv.slice(2)]
  process.env = cleanEnvironment(process.env)
  const crash = new Promise<unknown>(resolve => {
    process.on('uncaughtException', resolve)
    process.on('unhandledRejection', resolve)
  })
  const host = createLocalHost()
  const common = { host, crash, run: createRunner(host, crash) }
  const [word, room, id] = args
  const exitCode =
    word === SERVE && room !== undefined && id !== undefined
      ? await serveRoom(common, room, id)
      : await runAlone(common, [...process.execArgv, ...file], args)
  // Not by itself: a process that hangs would keep this one, and the toolstack waits for its end.
  process.exit(exitCode)
}

/** For the one call that this process was started for. */
async function runAlone(
  { host: { files }, run }: Common,
  self: readonly string[],
  args: readonly string[]
): Promise<0 | 1> {
  const { start: started } = await thisProcess(files)
  return await run({
    invocation: { args, env: process.env, spentMs: await sinceStartMs(files, started) },
    pid: undefined,
    complain: line => process.stderr.write(`${line}\n`),
    startLater: action => {
      // An error that has its own listener is none that nobody caught: the disk is there all the same.
      startDetached(process.execPath, [...self, action]).on('error', error =>
        appendLog(String(process.pid), `${action} does not start: ${error.message}`)
      )
    },
    onAbandoned: () => {}, // it ends with this process
    signal: firstOf(['SIGTERM', 'SIGINT', 'SIGHUP']),
  })
}

/** For all calls that come meanwhile. Signals of the terminal in which xl runs are their launchers', who pass them on. */
async function serveRoom(common: Common, room: string, id: string): Promise<0> {
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const change = watchFolder(room)
  await serve({ ...common, room, id, openAnswer, change, signal: firstOf(['SIGTERM']) })
  return 0
}

function firstOf(signals: readonly NodeJS.Signals[]): AbortSignal {
  const stop = new AbortController()
  for (const signal of signals) process.on(signal, () => stop.abort(new Error(`ended by ${signal}`)))
  return stop.signal
}

function createRunner(host: Host, crash: Promise<unknown>): (call: ServedCall) => Promise<0 | 1> {
  const syslog = createSyslog()
  return async ({ invocation, pid = process.pid, ...rest }) => {
    const operationId = `${pid}-${Math.round(Date.now()).toString(36)}`
    let last = ''
    const log = (line: string): void => {
      last = line
      appendLog(operationId, line)
    }
    const exitCode = await runScript(invocation, { ...rest, host, operationId, log, crash })
    syslog.tell(operationId, last, exitCode !== 0)
    return exitCode
  }
}

const start = (): void => {
  void main()
}

if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(start)
else start()
