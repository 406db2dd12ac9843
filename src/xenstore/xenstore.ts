import { isLunError, LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Command } from '../host/command.ts'
import { run } from '../host/executor.ts'
import type { Host } from '../host/host.ts'
import { listChildren, pathExists, readValue, removePath, writeValues } from './commands.ts'
import { checkXenstoreValue, xenstorePath } from './path.ts'

/**
 * The xenstore of this host. Paths are absolute, or relative to the home of this domain, `/local/domain/0` in dom0.
 *
 * @throws {@link LunError} `XENSTORE_INVALID` for a path or value xenstored cannot take, before anything runs;
 * `XENSTORE_UNAVAILABLE` when xenstored or its tools do not answer.
 */
export interface Xenstore {
  /** The exact value. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  read(path: string, options?: OperationOptions): Promise<string>
  /** The exact value, or `undefined` when there is none. */
  tryRead(path: string, options?: OperationOptions): Promise<string | undefined>
  /** Writes every value or none: one transaction. Parents are made. @throws {@link LunError} `XENSTORE_ACCESS_DENIED` */
  write(values: Readonly<Record<string, string>>, options?: OperationOptions): Promise<void>
  /** Removes a path and all below it; fine when it is not there. @throws {@link LunError} `XENSTORE_ACCESS_DENIED` */
  rm(path: string, options?: OperationOptions): Promise<void>
  /** Names of the children. @throws {@link LunError} `XENSTORE_NOT_FOUND` */
  list(path: string, options?: OperationOptions): Promise<readonly string[]>
  /** Whether there is such a path. */
  exists(path: string, options?: OperationOptions): Promise<boolean>
}

type Ask = <T>(command: Command<T>, options: OperationOptions | undefined) => Promise<T>

/**
 * Xenstore by means of the `xenstore-*` commands, which work wherever Xen's tools do. They cannot tell a missing path
 * from a forbidden one: both read as `XENSTORE_NOT_FOUND`. Nothing is forbidden to dom0.
 *
 * @example
 * ```ts
 * import { createLocalHost, createXenstore } from 'xen-lun'
 *
 * const xenstore = createXenstore(createLocalHost())
 * const path = 'backend/vbd/1/51712'
 * console.log(await xenstore.read(`${path}/params`))
 * await xenstore.write({ [`${path}/physical-device`]: 'fe:0', [`${path}/hotplug-status`]: 'connected' })
 * ```
 */
export function createXenstore(host: Pick<Host, 'executor'>): Xenstore {
  const ask: Ask = async (command, options) => {
    try {
      return await run(host.executor, command, options)
    } catch (error) {
      throw unavailable(error)
    }
  }
  const tryRead = async (path: string, options?: OperationOptions): Promise<string | undefined> => {
    const answer = await ask(readValue(xenstorePath(path)), options)
    return 'value' in answer ? answer.value : undefined
  }
  return {
    tryRead,
    read: async (path, options) => (await tryRead(path, options)) ?? notFound(path),
    write: async (values, options) => {
      const pairs = Object.entries(values).map(([text, value]) => {
        const path = xenstorePath(text)
        return [path, checkXenstoreValue(path, value)] as const
      })
      if (pairs.length === 0) return
      const answer = await ask(writeValues(pairs), options)
      if ('refused' in answer) denied(pairs.map(([path]) => path).join(', '))
    },
    rm: async (text, options) => {
      const path = xenstorePath(text)
      const answer = await ask(removePath(path), options)
      if ('refused' in answer && (await ask(pathExists(path), options))) denied(path)
    },
    list: async (path, options) => {
      const answer = await ask(listChildren(xenstorePath(path)), options)
      return 'names' in answer ? answer.names : notFound(path)
    },
    exists: async (path, options) => await ask(pathExists(xenstorePath(path)), options),
  }
}

/** Callers know xenstore, not the commands it is reached by. */
function unavailable(error: unknown): unknown {
  const isOurs = isLunError(error, 'COMMAND_TIMEOUT') || isLunError(error, 'COMMAND_NOT_FOUND')
  if (!isOurs && !isLunError(error, 'COMMAND_KILLED')) return error
  const reason = error.message
  return new LunError('XENSTORE_UNAVAILABLE', `xenstore: ${reason}`, { reason }, { cause: error })
}

function notFound(path: string): never {
  throw new LunError('XENSTORE_NOT_FOUND', `xenstore: there is no ${path}`, { path })
}

function denied(path: string): never {
  throw new LunError('XENSTORE_ACCESS_DENIED', `xenstore: xenstored refused to change ${path}`, { path })
}
