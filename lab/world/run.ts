import { execFile } from 'node:child_process'

export interface Outcome {
  /** -1 when a signal ended the program, or it could not be started. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly timeoutMs?: number
  /** Beside what this process has. */
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a program and returns how it ended, whatever that was. */
export const tryRun = (
  file: string,
  args: readonly string[],
  { input = '', timeoutMs = 120_000, env = {} }: RunOptions = {}
): Promise<Outcome> =>
  new Promise(resolve => {
    const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 } as const
    const child = execFile(file, args, { ...limits, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ exitCode, stdout, stderr: exitCode === -1 ? `${stderr}${error?.message ?? ''}` : stderr })
    })
    // A program that ends without reading its input is no error of ours.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })

/** Runs a program, returns its stdout; anything but exit code 0 is an error that holds all its output. */
export const run = async (file: string, args: readonly string[], options: RunOptions = {}): Promise<string> => {
  const { exitCode, stdout, stderr } = await tryRun(file, args, options)
  if (exitCode === 0) return stdout
  const output = [stdout, stderr]
    .map(text => text.trim())
    .filter(text => text !== '')
    .join('\n')
  throw new Error(`${[file, ...args].join(' ')} ended with ${exitCode}${output === '' ? '' : `: ${output}`}`)
}
