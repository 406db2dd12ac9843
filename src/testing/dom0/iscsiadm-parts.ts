import type { CommandResult } from '../../host/command.ts'
import { EXIT, type Iscsid } from './iscsid.ts'
import type { Kernel } from './kernel.ts'
import type { Records } from './node-records.ts'
import { failed, type Options, type ProgramContext } from './program.ts'
import type { StorageArray } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import type { Tree } from './tree.ts'

/** What iscsiadm works on. */
export interface IscsiadmParts {
  readonly tree: Tree
  readonly array: StorageArray
  readonly kernel: Kernel
  readonly records: Records
  readonly iscsid: Iscsid
  readonly scheduler: Scheduler
}

/** One of its modes: `-m node`, `-m discovery`, … */
export type Mode = (options: Options, context: ProgramContext) => Promise<CommandResult>

export const NO_RECORDS = 'iscsiadm: No records found\n'

const LOCK = '/run/lock/iscsi/lock.write'
const LOCK_MS = 30_000
const LOCK_LOOK_MS = 10

/** Takes the database lock for as long as `work` takes; gives up, and removes it, after 30 s. */
export async function locked(
  { tree, scheduler }: IscsiadmParts,
  { isKilled }: ProgramContext,
  work: () => CommandResult
): Promise<CommandResult> {
  const deadline = scheduler.now() + LOCK_MS
  while (tree.find(LOCK) !== undefined) {
    if (scheduler.now() >= deadline) {
      tree.remove(LOCK)
      return failed(EXIT.database, 'iscsiadm: Maximum timeout for DB lock\n')
    }
    await scheduler.sleep(LOCK_LOOK_MS)
  }
  return isKilled() ? failed(EXIT.database, '') : work()
}

/** What it says without iscsid. */
export function noDaemon(more: string): CommandResult {
  return failed(EXIT.noDaemon, `iscsiadm: can not connect to iSCSI daemon (111)!\n${more}`)
}
