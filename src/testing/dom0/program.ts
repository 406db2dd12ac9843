import type { CommandResult } from '../../host/command.ts'

/** A program of the simulated host: what it answers to its arguments. */
export interface Program {
  run(args: readonly string[], context: ProgramContext): Promise<CommandResult>
}

export interface ProgramContext {
  /** The files the process gets as descriptors 3, 4, … */
  readonly descriptors: readonly OpenFile[]
  /** Whether it has been killed: then it does nothing more. */
  readonly isKilled: () => boolean
}

/** A file somebody has open. */
export interface OpenFile {
  readonly pid: number
  readonly descriptor: number
  readonly inode: number
}

export function answer(stdout: string, exitCode = 0, stderr = ''): CommandResult {
  return { exitCode, stdout, stderr }
}

/** A failure, in the program's words. */
export function failed(exitCode: number, stderr: string): CommandResult {
  return { exitCode, stdout: '', stderr }
}

/** Options by name, in order; a name with no value has none. */
export interface Options {
  readonly values: ReadonlyMap<string, readonly string[]>
  has(name: string): boolean
  get(name: string): string | undefined
}

/** Reads `-x value` and `--flag`; `flags` take no value. */
export function readOptions(args: readonly string[], flags: readonly string[]): Options {
  const values = new Map<string, string[]>()
  for (let n = 0; n < args.length; n++) {
    const name = args[n] ?? ''
    const value = flags.includes(name) ? [] : [args[++n] ?? '']
    values.set(name, [...(values.get(name) ?? []), ...value])
  }
  return { values, has: name => values.has(name), get: name => values.get(name)?.at(-1) }
}
