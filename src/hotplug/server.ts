import { oneLine } from '../core/printable.ts'
import type { Files } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import type { LaterAction } from './action.ts'
import { sinceStartMs } from './age.ts'
import { isThere, type Launcher, parseCall, parseStop, SERVER, stopOf, type WaitingCall } from './room.ts'
import type { Invocation } from './script.ts'

/** One call, as it is run for whoever waits for it. */
export interface ServedCall {
  readonly invocation: Invocation
  /** The process that waits, if any. */
  readonly pid: string | undefined
  readonly complain: (line: string) => void
  readonly startLater: (action: LaterAction) => void
  readonly onAbandoned: () => void
  readonly signal: AbortSignal
}

/** The way back to a launcher, which prints what follows `say`, and ends with the status that follows `exit`. */
export interface Answer {
  say(line: string): void
  close(): void
}

export interface ServerPorts {
  readonly host: Pick<Host, 'files' | 'clock'>
  readonly room: string
  /** What the room's `server` says as long as launchers count on this process. */
  readonly id: string
  /** Undefined for a launcher that is gone. */
  readonly openAnswer: (launcher: Launcher) => Answer | undefined
  readonly run: (call: ServedCall) => Promise<0 | 1>
  /** Resolves at the next change in the room. */
  readonly change: () => Promise<void>
  /** Fires when this process is told to end: its calls are stopped. */
  readonly signal: AbortSignal
  /** Resolves with an error that nobody caught: no other call is to be trusted to this process. */
  readonly crash: Promise<unknown>
}

/** How long it waits for who comes next. */
const IDLE_MS = 30_000
/** Should a change go unnoticed. */
const LOOK_MS = 1000

/**
 * Runs the calls of all disks that come at about the same time, so that node starts once for them, and resolves when no
 * more come. None is lost at its end: a launcher leaves its call before it looks who serves, and this process looks for
 * calls once more after it has taken its name away. One that was left with work that does not end takes no more, and its
 * end is the end of that work: of its locks, too.
 */
export async function serve(ports: ServerPorts): Promise<void> {
  const { host, room, id, signal, crash } = ports
  const { files, clock } = host
  const nameFile = `${room}/${SERVER}`
  let isBroken = false
  const onAbandoned = (): void => {
    isBroken = true
  }
  void crash.then(onAbandoned)
  const running = createRunning(ports, onAbandoned)
  let isLeaving = false
  for (;;) {
    const change = ports.change()
    const isNamed = (await readName(files, nameFile)) === id
    const names = await files.list(room)
    if ((isNamed || isLeaving) && !isBroken && !signal.aborted) await running.take(names)
    running.stop(names)
    if (running.isEmpty()) {
      if (!isNamed || isBroken) break
      if (signal.aborted || running.idleMs() >= IDLE_MS) {
        isLeaving = await files.remove(nameFile)
        continue
      }
    }
    const looked = new AbortController()
    await Promise.race([change, clock.sleep(LOOK_MS, looked.signal).catch(() => {})])
    looked.abort()
  }
  await sweep(ports)
}

interface Running {
  /** Starts what is in the room. */
  take(names: readonly string[]): Promise<void>
  /** Stops those whose launchers have been told to end. */
  stop(names: readonly string[]): void
  isEmpty(): boolean
  idleMs(): number
}

function createRunning(ports: ServerPorts, onAbandoned: () => void): Running {
  const { signal } = ports
  const { clock } = ports.host
  const calls = new Map<string, AbortController>()
  let idleSinceMs = clock.now()
  const start = (name: string, work: (stop: AbortSignal) => Promise<unknown>): void => {
    const call = new AbortController()
    calls.set(name, call)
    const done = (): void => {
      calls.delete(name)
      idleSinceMs = clock.now()
    }
    void work(AbortSignal.any([call.signal, signal])).finally(done)
  }
  const startLater = (xenbusPath: string, action: LaterAction): void => {
    const invocation: Invocation = { args: [action], env: { XENBUS_PATH: xenbusPath }, spentMs: 0 }
    const rest = { pid: undefined, complain: () => {}, startLater: () => {}, onAbandoned }
    start(`${action},${xenbusPath},${clock.now()}`, async stop => {
      await ports.run({ invocation, ...rest, signal: stop })
    })
  }
  return {
    take: async names => {
      for (const call of names.map(parseCall)) {
        if (call === undefined || !(await removeFrom(ports, call.name))) continue
        start(call.name, async stop => await serveCall(ports, call, { signal: stop, startLater, onAbandoned }))
      }
    },
    stop: names => {
      for (const [name, call] of calls) {
        if (names.includes(stopOf(name))) call.abort(new Error('ended by a signal'))
      }
    },
    isEmpty: () => calls.size === 0,
    idleMs: () => clock.now() - idleSinceMs,
  }
}

/** A launcher writes the name over another one, which may have been longer: what counts is the first line. */
async function readName(files: Files, path: string): Promise<string | undefined> {
  // Opening a pipe would wait for somebody who writes to it.
  if ((await files.stat(path))?.kind !== 'file') return undefined
  return (await files.read(path))?.split('\n')[0]
}

/** False also for what cannot be removed, such as a folder: that is no launcher's, and must not end the calls of those who wait. */
async function removeFrom({ host: { files }, room }: ServerPorts, name: string): Promise<boolean> {
  return await files.remove(`${room}/${name}`).catch(() => false)
}

async function serveCall(
  ports: ServerPorts,
  { name, action, xenbusPath, launcher }: WaitingCall,
  {
    startLater,
    ...rest
  }: Pick<ServedCall, 'signal' | 'onAbandoned'> & {
    readonly startLater: (xenbusPath: string, action: LaterAction) => void
  }
): Promise<void> {
  const { files } = ports.host
  const answer = ports.openAnswer(launcher)
  if (answer === undefined) return
  try {
    // Asked when its pipe is open: a launcher that is there now was there all the time. Without one the toolstack has
    // given up, and goes on in its own way.
    if (!(await isThere(files, launcher))) return
    answer.say('taken')
    const exitCode = await ports.run({
      invocation: {
        args: [action],
        env: { XENBUS_PATH: xenbusPath },
        spentMs: await sinceStartMs(files, launcher.start),
      },
      pid: launcher.pid,
      // A second line would be another word to the launcher.
      complain: line => answer.say(`say ${oneLine(line)}`),
      startLater: later => startLater(xenbusPath, later),
      ...rest,
    })
    answer.say(`exit ${exitCode}`)
  } finally {
    // Where nothing was answered the launcher goes on alone.
    answer.close()
    await removeFrom(ports, stopOf(name))
  }
}

/** What launchers have left that were killed. */
async function sweep(ports: ServerPorts): Promise<void> {
  const { files } = ports.host
  for (const name of await files.list(ports.room)) {
    const call = parseStop(name)
    if (call !== undefined && !(await isThere(files, call.launcher))) await removeFrom(ports, name)
  }
}
