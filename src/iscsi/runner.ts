import { hasCode, isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { releaseAbandoned } from '../flow/link-lock.ts'
import { retry } from '../flow/retry.ts'
import type { Clock } from '../host/clock.ts'
import type { Command } from '../host/command.ts'
import { run } from '../host/executor.ts'
import type { Host } from '../host/host.ts'
import { checkDbLock, DB_LOCK, DB_LOCK_FOLDER } from './db-lock.ts'

/** Runs iscsiadm commands; a busy database is the one thing worth another try. */
export interface Runner {
  /** For what reads and writes records: an abort comes before it or not at all, see `DB_TIMEOUT_MS`. */
  whole<T>(command: Command<T>, options?: OperationOptions): Promise<T>
  /** For what waits for a target: an abort ends iscsiadm, though not what iscsid was told. */
  abortable<T>(command: Command<T>, options?: OperationOptions): Promise<T>
}

const LOCK = `${DB_LOCK_FOLDER}/${DB_LOCK}`
const BUSY_MS = 3000
const FIRST_PAUSE_MS = 200
/** How long iscsiadm waits for the lock, open-iscsi usr/idbm.c. */
const STALE_LOCK_MS = 30_000

export function createRunner(host: Host): Runner {
  const { executor, clock, files } = host
  // A lock whose holder is dead would keep iscsiadm waiting for 30 s.
  const clear = async ({ signal }: OperationOptions): Promise<void> => {
    await checkDbLock(files)
    await releaseAbandoned(host, LOCK, { signal })
  }
  return {
    whole: async (command, { signal } = {}) => {
      await clear({ signal })
      return await unlessBusy(clock, async () => await run(executor, command), signal)
    },
    abortable: async (command, { signal } = {}) => {
      await clear({ signal })
      return await unlessBusy(clock, async () => await run(executor, command, { signal }), signal)
    },
  }
}

async function unlessBusy<T>(clock: Clock, task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const start = clock.now()
  try {
    return await retry(clock, task, {
      isPassing: hasCode('ISCSI_DB_BUSY'),
      withinMs: BUSY_MS,
      firstPauseMs: FIRST_PAUSE_MS,
      signal,
    })
  } catch (error) {
    if (!isLunError(error, 'ISCSI_DB_BUSY') || clock.now() - start < STALE_LOCK_MS) throw error
    // It waited for a lock nobody released. iscsiadm removes such a lock when it gives up, so now it is free.
    signal?.throwIfAborted()
    return await task()
  }
}
