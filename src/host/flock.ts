import { invalid } from '../core/check.ts'
import { LunError } from '../core/error.ts'
import type { Command } from './command.ts'
import type { Executor } from './executor.ts'
import { run } from './executor.ts'
import type { Files } from './files.ts'
import { lockFileName } from './lock-name.ts'
import { type LockOptions, type Locks, lockTimeout } from './locks.ts'
import { findOwnFile, isOwnFolder, makeOwnFolder } from './own-path.ts'

const LOCK_DIRECTORY = '/run/xen-lun/locks'
/** Where older versions had them. On Debian everybody may make folders in /run/lock. */
const FORMER_DIRECTORY = '/run/lock/xen-lun'
const MILLISECONDS = 1000

/** How {@link createFlock} reaches the machine. */
export interface FlockDependencies {
  readonly executor: Executor
  readonly files: Files
  /** A folder that is ours alone; it is made. Default `/run/xen-lun/locks`. */
  readonly directory?: string
}

/**
 * Locks by flock(2) on a file of ours. flock(1) locks the open file it inherits and ends; the lock stays with
 * our descriptor, is never inherited by later children, and the kernel drops it when this process dies.
 *
 * A name that is an absolute path is a lock of Xen's hotplug scripts, whose holder removes the file: see `claim_lock` in
 * tools/hotplug/Linux/locking.sh.
 *
 * @throws {@link LunError} `INVALID_INPUT` for a directory that is not absolute
 */
export function createFlock({ executor, files, directory }: FlockDependencies): Locks {
  if (directory !== undefined && !directory.startsWith('/'))
    throw invalid('directory', directory, 'is no absolute path')
  const { own, former } =
    directory === undefined ? { own: LOCK_DIRECTORY, former: FORMER_DIRECTORY } : { own: directory, former: undefined }
  return {
    withLock: async (name, task, options) => {
      if (name.startsWith('/')) return await withXenLock(executor, files, name, task, options)
      await makeOwnFolder(files, own)
      const file = lockFileName(name)
      const hold = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
        await findOwnFile(files, `${folder}/${file}`)
        return await files.withDescriptor(`${folder}/${file}`, async descriptor => {
          await take(executor, name, descriptor, options)
          return await work()
        })
      }
      return await hold(own, async () => {
        // Processes of an older version that began before it was replaced know of that one only.
        const isOlder = former !== undefined && (await isOwnFolder(files, former))
        return isOlder ? await hold(former, task) : await task()
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
    await findOwnFile(files, path)
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
