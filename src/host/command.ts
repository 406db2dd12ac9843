/** What a finished process left behind. A non-zero exit is data here, not an exception. */
export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * A command as a plain value: what to run, and what its answer means. Making one runs nothing.
 * Arguments are plain text on purpose: a secret has no place in argv, see `NodeDb.update`.
 */
export interface Command<T> {
  readonly file: string
  readonly args: readonly string[]
  /** Open files of ours the process gets as descriptors 3, 4, … */
  readonly descriptors?: readonly number[]
  /** SIGTERM after this long, SIGKILL some time later. Default 30 s. */
  readonly timeoutMs?: number
  /** How long the process may take to end on SIGTERM before SIGKILL. Default 1 s. */
  readonly killGraceMs?: number
  /** Pure. Throws a `LunError` when the answer means failure. */
  readonly decode: (result: CommandResult) => T
}

/** The argv as one line, for people and for recordings. */
export function describe(command: Pick<Command<unknown>, 'file' | 'args'>): string {
  return [command.file, ...command.args].map(word => (/[\s"]|^$/.test(word) ? JSON.stringify(word) : word)).join(' ')
}

const STDERR_BYTES = 2048

/** The part of an answer an error may carry. */
export function failure(
  command: Pick<Command<unknown>, 'file' | 'args'>,
  { exitCode, stdout, stderr }: CommandResult
): { readonly command: string; readonly exitCode: number; readonly stderr: string } {
  // iscsiadm and multipath explain some failures on stdout only.
  const said = stderr.trim() === '' ? stdout.trim() : stderr.trim()
  return { command: describe(command), exitCode, stderr: said.slice(-STDERR_BYTES) }
}
