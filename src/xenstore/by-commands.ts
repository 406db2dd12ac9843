import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { unlessAborted } from '../flow/unless-aborted.ts'
import type { Command } from '../host/command.ts'
import { type Executor, run } from '../host/executor.ts'
import { changeMode, listChildren, pathExists, readValue, removePath, writeValues } from './commands.ts'
import { denied, found, needsSocket, unavailable, xenstoreInvalid } from './errors.ts'
import { checkXenstoreValue, type XenstorePath, xenstorePath } from './path.ts'
import { formatPermissions } from './permissions.ts'
import type { Xenstore, XenstoreTransaction, XenstoreValues } from './types.ts'
import { decodeText } from './wire.ts'

/** Xenstore by means of Xen's commands. */
export function createXenstoreByCommands(executor: Executor, timeoutMs: number): Xenstore {
  const state = { isClosed: false }
  const ask = async <T>(command: Command<T>, options: OperationOptions | undefined): Promise<T> => {
    if (state.isClosed) throw unavailable('this Xenstore was closed')
    try {
      return await run(executor, { ...command, timeoutMs }, options)
    } catch (error) {
      throw asUnavailable(error)
    }
  }
  const tryReadBytes = async (path: string, options?: OperationOptions): Promise<Uint8Array | undefined> => {
    const answer = await ask(readValue(xenstorePath(path)), options)
    return 'value' in answer ? answer.value : undefined
  }
  const tryRead = async (path: string, options?: OperationOptions): Promise<string | undefined> => {
    const bytes = await tryReadBytes(path, options)
    return bytes === undefined ? undefined : decodeText(bytes)
  }
  const write = async (values: XenstoreValues, options?: OperationOptions): Promise<void> => {
    const pairs = checkPairs(values)
    if (pairs.length === 0) return
    const answer = await ask(writeValues(pairs), options)
    if ('refused' in answer) throw denied(pairs.map(([path]) => path).join(', '))
  }
  const close = async (): Promise<void> => {
    state.isClosed = true
  }
  return {
    tryRead,
    read: async (path, options) => found(await tryRead(path, options), path),
    readBytes: async (path, options) => found(await tryReadBytes(path, options), path),
    write,
    rm: async (text, options) => {
      const path = xenstorePath(text)
      const answer = await ask(removePath(path), options)
      if ('refused' in answer && (await ask(pathExists(path), options))) throw denied(path)
    },
    list: async (path, options) => {
      const answer = await ask(listChildren(xenstorePath(path)), options)
      return found('names' in answer ? answer.names : undefined, path)
    },
    exists: async (path, options) => await ask(pathExists(xenstorePath(path)), options),
    setPermissions: async (text, permissions, options) => {
      const path = xenstorePath(text)
      const answer = await ask(changeMode(path, formatPermissions(path, permissions)), options)
      if ('refused' in answer) throw denied(path)
    },
    // `xenstore-write PATH ""` would take the value of a node that is there.
    mkdir: async path => await refuse('mkdir', path),
    // `xenstore-ls -p` shows permissions, of everything below the parent.
    getPermissions: async path => await refuse('getPermissions', path),
    // A port that answers when a process has ended cannot follow `xenstore-watch`.
    watch: path => {
      xenstorePath(path)
      return { [Symbol.asyncIterator]: () => ({ next: async () => await refuse('watch', path) }) }
    },
    transaction: async (task, options) => {
      options?.signal?.throwIfAborted()
      const collected = createCollector()
      const result = await unlessAborted(collected.run(task), options?.signal)
      await write(collected.values, options)
      return result
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function checkPairs(values: XenstoreValues): readonly (readonly [XenstorePath, string | Uint8Array])[] {
  return Object.entries(values).map(([text, value]) => {
    const path = xenstorePath(text)
    return [path, checkXenstoreValue(path, value)] as const
  })
}

/** A transaction that only writes is one command, run at its end. */
function createCollector(): {
  readonly values: XenstoreValues
  run<T>(task: (tx: XenstoreTransaction) => Promise<T>): Promise<T>
} {
  const values: Record<string, string | Uint8Array> = {}
  let isOver = false
  const refuseIn = async (path: string): Promise<never> => await refuse('a transaction that does more than write', path)
  const tx: XenstoreTransaction = {
    write: async more => {
      for (const [path, value] of checkPairs(more)) {
        if (isOver) throw xenstoreInvalid(path, 'is asked for in a transaction that has ended')
        values[path] = value
      }
    },
    read: refuseIn,
    tryRead: refuseIn,
    readBytes: refuseIn,
    mkdir: refuseIn,
    rm: refuseIn,
    list: refuseIn,
    exists: refuseIn,
    getPermissions: refuseIn,
    setPermissions: refuseIn,
  }
  return {
    values,
    run: async task => {
      try {
        return await task(tx)
      } finally {
        isOver = true
      }
    },
  }
}

async function refuse(what: string, path: string): Promise<never> {
  xenstorePath(path)
  throw needsSocket(what)
}

/** Callers know xenstore, not the commands it is reached by. */
function asUnavailable(error: unknown): unknown {
  const isOurs = isLunError(error, 'COMMAND_TIMEOUT') || isLunError(error, 'COMMAND_NOT_FOUND')
  if (!isOurs && !isLunError(error, 'COMMAND_KILLED')) return error
  return unavailable(error.message, { cause: error })
}
