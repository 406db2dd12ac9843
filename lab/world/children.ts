import { type ChildProcess, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { within } from './until.ts'

/** How a process ended. */
export interface Ending {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process of ours that runs beside us. It is killed at the end of its block, or else when the host is reset. */
export interface Child extends AsyncDisposable {
  readonly pid: number
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>
  /** SIGKILL; resolves when it has ended. One that waits for a disk ends when the disk has answered. */
  kill(): Promise<Ending>
}

const running = new Set<ChildProcess>()

/** Makes a {@link Child} of a process that was just spawned. */
export const watchChild = (name: string, child: ChildProcess): Child => {
  const { pid } = child
  running.add(child)
  const ended = new Promise<Ending>(resolve => {
    const end = (exitCode: number | null, signal: NodeJS.Signals | null): void => {
      running.delete(child)
      resolve({ exitCode, signal })
    }
    child.on('exit', end)
    child.on('error', () => end(-1, null))
  })
  if (pid === undefined) throw new Error(`${name} cannot be started`)
  const kill = async (): Promise<Ending> => {
    child.kill('SIGKILL')
    return await within(`the end of ${name} (${pid})`, ended)
  }
  return {
    pid,
    ended,
    kill,
    [Symbol.asyncDispose]: async () => {
      await kill()
    },
  }
}

export interface CommandOptions {
  /** The file or device that is its standard input. */
  readonly stdin?: string
}

/** Starts a program and leaves it running. What it says on stderr goes to the console log. */
export const startCommand = async (
  file: string,
  args: readonly string[],
  { stdin }: CommandOptions = {}
): Promise<Child> => {
  if (stdin === undefined) return watchChild(file, spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] }))
  await using input = await open(stdin, 'r')
  return watchChild(file, spawn(file, args, { stdio: [input.fd, 'ignore', 'inherit'] }))
}

/** Kills what scenarios that failed have left running; does not wait for those that wait for a disk. */
export const killChildren = (): void => {
  for (const child of running) child.kill('SIGKILL')
}
