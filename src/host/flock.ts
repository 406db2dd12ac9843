import { LunError } from '../core/error.ts'
import type { Command } from './command.ts'
import type { Executor } from './executor.ts'
import { run } from './executor.ts'
import type { Files } from './files.ts'
import { type LockOptions, type Locks, lockTimeout } from './locks.ts'

const LOCK_DIRECTORY = '/run/lock/xen-lun'
const MILLISECONDS = 1000

/** How {@link createFlock} reaches the machine. */
export interface FlockDependencies {
  readonly executor: Executor
  readonly files: Files
  /** Default `/run/lock/xen-lun`. */
  readonly directory?: string
}

/**
 * Locks by flock(2) on a file of ours. flock(1) locks the open file it inherits and ends; the lock stays with
 * our descriptor, is never inherited by later children, and the kernel drops it when this process dies.
 */
export function createFlock({ executor, files, directory = LOCK_DIRECTORY }: FlockDependencies): Locks {
  return {
    withLock: async (name, task, options) => {
      await files.makeDirectory(directory, 0o700)
      return await files.withDescriptor(`${directory}/${encodeURIComponent(name)}`, async descriptor => {
        await take(executor, name, descriptor, options)
        return await task()
      })
    },
  }
}

async function take(executor: Executor, name: string, descriptor: number, options: LockOptions): Promise<void> {
  const got = await run(executor, flock(descriptor, options.timeoutMs), options)
  if (!got) throw lockTimeout(name, options.timeoutMs)
}

const CONFLICT = 1 // flock(1): "the exit status used when … the timeout is reached"

function flock(descriptor: number, timeoutMs: number): Command<boolean> {
  const seconds = (timeoutMs / MILLISECONDS).toFixed(3)
  return {
    file: 'flock',
    args: ['--exclusive', '--timeout', seconds, '3'],
    descriptors: [descriptor],
    timeoutMs: timeoutMs + MILLISECONDS,
    decode: ({ exitCode, stderr }) => {
      if (exitCode === 0) return true
      if (exitCode === CONFLICT) return false
      throw new LunError('COMMAND_FAILED', `flock: exit ${exitCode}: ${stderr.trim()}`, {
        command: 'flock',
        exitCode,
        stderr,
      })
    },
  }
}
