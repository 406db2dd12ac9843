import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { LONGEST_MS } from '../core/check.ts'
import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { onAbort } from '../flow/on-abort.ts'
import { type Command, type CommandResult, describe } from './command.ts'
import type { Executor } from './executor.ts'

const TIMEOUT_MS = 30_000
const KILL_GRACE_MS = 1000
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

/** Runs commands on this machine: no shell, no stdin, the C locale, the system's own PATH first. */
export function createExecaExecutor(): Executor {
  return { exec }
}

async function exec(command: Command<unknown>, { signal }: OperationOptions = {}): Promise<CommandResult> {
  signal?.throwIfAborted() // execa would start the process all the same
  const { file, args, descriptors = [], timeoutMs = TIMEOUT_MS, killGraceMs = KILL_GRACE_MS } = command
  const limitMs = Math.min(timeoutMs, LONGEST_MS - 2 * killGraceMs)
  // Ours, since execa's own listener would be one more of the caller's signal for every process.
  const cancel = new AbortController()
  const ignore = onAbort(signal, () => cancel.abort(signal?.reason))
  const child = execa(file, args, {
    reject: false,
    stripFinalNewline: false,
    // execa's types list only 3 to 9; it takes any open descriptor.
    stdio: ['ignore', 'pipe', 'pipe', ...(descriptors as readonly 3[])],
    env: { LC_ALL: 'C', PATH: [PATH, process.env['PATH']].filter(Boolean).join(':') },
    timeout: limitMs,
    forceKillAfterDelay: killGraceMs,
    cancelSignal: cancel.signal,
  })
  // A process in D state, or a grandchild that keeps our pipes open, outlives SIGKILL as far as execa can see.
  const giveUp = new AbortController()
  const deadline = Promise.race([
    sleep(limitMs + 2 * killGraceMs, 'stuck' as const, { signal: giveUp.signal }),
    afterAbort(cancel.signal, 2 * killGraceMs, giveUp.signal),
  ]).catch(() => 'stuck' as const)
  const result = await Promise.race([child, deadline]).finally(() => {
    giveUp.abort()
    ignore()
  })
  if (result === 'stuck') {
    child.stdout.destroy()
    child.stderr.destroy()
    child.unref()
    signal?.throwIfAborted()
    throw timedOut(command, timeoutMs)
  }
  if (result.isCanceled) signal?.throwIfAborted()
  if (result.timedOut) throw timedOut(command, timeoutMs)
  if (result.code === 'ENOENT') throw new LunError('COMMAND_NOT_FOUND', `${file} is not installed`, { file })
  // After a maxBuffer overrun the exit code reads 0 although the answer is cut.
  if (result.isMaxBuffer || result.exitCode === undefined) throw killed(command, result.signal)
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
}

async function afterAbort(signal: AbortSignal, ms: number, giveUp: AbortSignal): Promise<'stuck'> {
  await new Promise<void>(resolve => {
    signal.addEventListener('abort', () => resolve(), { once: true, signal: giveUp })
    giveUp.addEventListener('abort', () => resolve(), { once: true })
  })
  return await sleep(ms, 'stuck', { signal: giveUp })
}

function timedOut(command: Command<unknown>, timeoutMs: number): LunError<'COMMAND_TIMEOUT'> {
  const text = describe(command)
  return new LunError('COMMAND_TIMEOUT', `${text}: no answer within ${timeoutMs} ms`, { command: text, timeoutMs })
}

// Neither execa's message nor its error may leave this file: both hold more than we want printed.
function killed(command: Command<unknown>, signal: string | undefined): LunError<'COMMAND_KILLED'> {
  const text = describe(command)
  const how = signal === undefined ? 'without an exit status' : `by ${signal}`
  return new LunError('COMMAND_KILLED', `${text}: ended ${how}`, { command: text, signal })
}
