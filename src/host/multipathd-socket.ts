import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { LONGEST_MS } from '../core/check.ts'
import { isLunError, LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { onAbort } from '../flow/on-abort.ts'
import { type Command, type CommandResult, describe } from './command.ts'
import type { Executor } from './executor.ts'

/** Where multipathd listens, and how long it may take. */
export interface MultipathdSocketOptions {
  /** Sockets to try, in this order; a leading NUL makes an abstract name. */
  readonly paths?: readonly string[]
  /** For commands without a limit of their own. Default 30 s. */
  readonly timeoutMs?: number
  /** Opens a connection, which emits `connect`, or `error` where nobody listens. Default: node:net's. */
  readonly connect?: (path: string) => Duplex
}

// multipath-tools libmpathcmd/mpath_cmd.c tries both in this order; the first one came on the way to 0.12.
const PATHS = ['/run/multipathd.socket', '\0/org/kernel/linux/storage/multipathd']
const TIMEOUT_MS = 30_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
// A size_t: 8 bytes on every machine Xen runs on.
const LENGTH_BYTES = 8

/**
 * Answers `multipathd …` commands over multipathd's own socket, without starting a process for each.
 * Where no socket takes the connection the command runs in `inner`, like every other command does.
 *
 * Node 20 from nodejs.org (libuv 1.46) pads abstract socket names with NULs and does not find multipathd's; there the
 * command answers, unless multipathd has the socket file too. Node 22 and 24 find it.
 *
 * @throws {@link LunError} `COMMAND_TIMEOUT`, `UNEXPECTED_OUTPUT` for an impossible answer; `signal.reason` on abort.
 * @example
 * ```ts
 * import { createExecaExecutor, createLocalHost, createMultipathdSocket } from 'xen-lun'
 *
 * const paths = ['/run/elsewhere/multipathd.socket']
 * const host = createLocalHost({ executor: createMultipathdSocket(createExecaExecutor(), { paths }) })
 * ```
 */
export function createMultipathdSocket(inner: Executor, options: MultipathdSocketOptions = {}): Executor {
  const { paths = PATHS, timeoutMs = TIMEOUT_MS, connect: open = (path: string) => connect({ path }) } = options
  return {
    exec: async (command, operation) => {
      // Without words `multipathd` would be the daemon itself.
      if (command.file !== 'multipathd' || command.args.length === 0) return await inner.exec(command, operation)
      for (const path of paths) {
        operation?.signal?.throwIfAborted()
        const text = await ask(open(path), command, command.timeoutMs ?? timeoutMs, operation)
        if (text !== undefined) return toResult(text)
      }
      return await inner.exec(command, operation)
    },
  }
}

/** The answer, or `undefined` where nobody listens. Once words are sent nothing is tried again: they may have worked. */
async function ask(
  socket: Duplex,
  command: Command<unknown>,
  timeoutMs: number,
  { signal }: OperationOptions = {}
): Promise<string | undefined> {
  const giveUp = setTimeout(() => socket.destroy(timeout(command, timeoutMs)), Math.min(timeoutMs, LONGEST_MS))
  const ignore = onAbort(signal, () => socket.destroy(new Error('aborted')))
  socket.on('error', () => undefined) // each one also rejects what awaits the socket
  let isConnected = false
  try {
    await once(socket, 'connect')
    isConnected = true
    socket.write(request(command.args))
    return await receive(socket)
  } catch (error) {
    signal?.throwIfAborted()
    if (isLunError(error)) throw error
    return isConnected ? LOST : undefined
  } finally {
    clearTimeout(giveUp)
    ignore()
    socket.destroy()
  }
}

// What the `multipathd` command prints when the daemon goes away before it answers (multipathd/uxclnt.c; seen, 0.11.1).
const LOST = 'fail\nerror -5 receiving packet\n'

/** Words as the `multipathd` command sends them: those with blanks in double quotes (seen, 0.11.1). */
function request(words: readonly string[]): Buffer {
  const text = Buffer.from(`${words.map(word => (/\s/.test(word) ? `"${word}"` : word)).join(' ')}\0`)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text])
}

async function receive(socket: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  let received = 0
  let expected = Number.POSITIVE_INFINITY
  for await (const chunk of socket) {
    if (!Buffer.isBuffer(chunk)) continue
    chunks.push(chunk)
    received += chunk.length
    if (received < LENGTH_BYTES) continue
    if (expected === Number.POSITIVE_INFINITY) expected = answerBytes(Buffer.concat(chunks))
    if (received < LENGTH_BYTES + expected) continue
    return Buffer.concat(chunks)
      .toString('utf8', LENGTH_BYTES, LENGTH_BYTES + expected)
      .replace(/\0$/, '')
  }
  return LOST
}

function answerBytes(head: Buffer): number {
  const bytes = head.readBigUInt64LE()
  if (bytes >= 1n && bytes <= MAX_ANSWER_BYTES) return Number(bytes)
  const text = `an answer of ${bytes} bytes`
  throw new LunError('UNEXPECTED_OUTPUT', `multipathd announced ${text}`, { tool: 'multipathd', line: 1, text })
}

function timeout(command: Command<unknown>, timeoutMs: number): LunError<'COMMAND_TIMEOUT'> {
  const text = describe(command)
  return new LunError('COMMAND_TIMEOUT', `${text} got no answer within ${timeoutMs} ms`, { command: text, timeoutMs })
}

const FAIL = 'fail\n'

/** Makes of the daemon's answer what the `multipathd` command makes of it: `fail` in front means exit 1 (since 0.9.8). */
function toResult(text: string): CommandResult {
  if (!text.startsWith(FAIL)) return { exitCode: 0, stdout: text, stderr: '' }
  return { exitCode: 1, stdout: text === FAIL ? text : text.slice(FAIL.length), stderr: '' }
}
