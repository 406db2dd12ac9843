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
 *
 * A name that is an absolute path is a lock of Xen's hotplug scripts, whose holder removes the file: see `claim_lock` in
 * tools/hotplug/Linux/locking.sh.
 */
export function createFlock({ executor, files, directory = LOCK_DIRECTORY }: FlockDependencies): Locks {
  return {
    withLock: async (name, task, options) => {
      if (name.startsWith('/')) return await withXenLock(executor, files, name, task, options)
      await files.makeDirectory(directory, 0o700)
      return await files.withDescriptor(`${directory}/${encodeURIComponent(name)}`, async descriptor => {
        await take(executor, name, descriptor, options)
        return await task()
      })
    },
  }
}

async function withXenLock<T>(
  executor: Executor,
  files: Files,
  path: string,
  task: () => Promise<T>,
  options: LockOptions
): Promise<T> {
  await files.makeDirectory(path.slice(0, path.lastIndexOf('/')), 0o755)
  for (;;) {
    const outcome = await files.withDescriptor(path, async descriptor => {
      await take(executor, path, descriptor, options)
      const [mine, current] = await Promise.all([files.stat(`/proc/self/fd/${descriptor}`), files.stat(path)])
      // The holder before us removed the file we waited for, and somebody may have locked the one that came after.
      if (mine !== undefined && mine.inode !== current?.inode) return undefined
      try {
        return { result: await task() }
      } finally {
        await files.remove(path)
      }
    })
    if (outcome !== undefined) return outcome.result
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
