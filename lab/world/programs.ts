import { type SpawnOptions, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Child, watchChild } from './children.ts'
import { within } from './until.ts'

/** One of `lab/programs` as a process of its own. It prints one JSON value per line. */
export interface Program<Line> extends Child {
  /** The next line it prints; undefined when it has closed its output. */
  next(awaited: string, timeoutMs?: number): Promise<Line | undefined>
  /** Gives it a line to read. */
  send(value: unknown): void
}

// In the bundle: programs lie beside the runner.
const fileOf = (name: string): string => fileURLToPath(new URL(`${name}.mjs`, import.meta.url))

/** Whether there is such a program; some are bundled only when asked for. */
export const isProgram = (name: string): boolean => existsSync(fileOf(name))

/** Node takes 5 s to start, so begin before it is needed. What it says on stderr goes to the console log. */
export const startProgram = <Line>(name: string, ...args: readonly string[]): Program<Line> => start({}, name, args)

/** As a user without rights: Node lets no process give them up whose libuv may use io_uring, as Debian's does. */
export const startProgramAs = <Line>(uid: number, name: string): Program<Line> => start({ uid, gid: uid }, name, [])

const start = <Line>(who: Pick<SpawnOptions, 'uid' | 'gid'>, name: string, args: readonly string[]): Program<Line> => {
  const command = [fileOf(name), ...args]
  const spawned = spawn(process.execPath, command, { ...who, stdio: ['pipe', 'pipe', 'inherit'] })
  const child = watchChild(name, spawned)
  // A program that was killed reads no more.
  spawned.stdin.on('error', () => {})
  const lines = createInterface({ input: spawned.stdout })[Symbol.asyncIterator]()
  return {
    ...child,
    next: async (awaited, timeoutMs) => {
      const result = await within(`${awaited} (${name}, ${child.pid})`, lines.next(), timeoutMs)
      if (result.done === true) return undefined
      const line: Line = JSON.parse(result.value)
      return line
    },
    send: value => {
      spawned.stdin.write(`${JSON.stringify(value)}\n`)
    },
  }
}
