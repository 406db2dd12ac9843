import type { XenstoreConnect } from './byte-channel.ts'
import type { Clock } from './clock.ts'
import type { Executor } from './executor.ts'
import type { Files } from './files.ts'
import type { Locks } from './locks.ts'

/** The four ports, and a shortcut. Nothing else of this library touches the machine. */
export interface Host {
  readonly executor: Executor
  readonly files: Files
  readonly clock: Clock
  readonly locks: Locks
  /** Where xenstored can be spoken to directly. Without it {@link Xenstore} runs Xen's commands. */
  readonly xenstoreConnect?: XenstoreConnect | undefined
}
