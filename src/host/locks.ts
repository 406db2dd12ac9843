import { LunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'

/** How long to wait for a lock. */
export interface LockOptions extends OperationOptions {
  readonly timeoutMs: number
  /**
   * Asked when the lock is taken: tasks of one process whose lanes differ may rely on the lock side by side. Undefined, or
   * left out: the task has it to itself. A lock that knows no lanes may ignore it.
   */
  readonly lane?: (() => Promise<string | undefined>) | undefined
}

/** Port to locks that all processes of this host respect. */
export interface Locks {
  /**
   * Runs `task` while holding the lock `name`. A crash of this process releases it.
   *
   * @throws {@link LunError} `LOCK_TIMEOUT`; `PATH_UNSAFE` where somebody else could have a hand in the lock
   */
  withLock<T>(name: string, task: () => Promise<T>, options: LockOptions): Promise<T>
}

/** The error for a lock that somebody else kept. */
export function lockTimeout(lock: string, timeoutMs: number): LunError<'LOCK_TIMEOUT'> {
  return new LunError('LOCK_TIMEOUT', `another operation held the lock ${lock} for ${timeoutMs} ms`, {
    lock,
    timeoutMs,
  })
}
