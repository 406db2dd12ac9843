import type { XenstoreConnect } from './byte-channel.ts'
import type { Clock } from './clock.ts'
import type { Executor } from './executor.ts'
import type { Files } from './files.ts'
import type { Locks } from './locks.ts'
import type { Looks } from './looks.ts'

/** The four ports, and shortcuts. Nothing else of this library touches the machine. */
export interface Host {
  readonly executor: Executor
  readonly files: Files
  readonly clock: Clock
  readonly locks: Locks
  /** Where xenstored can be spoken to directly. Without it {@link Xenstore} runs Xen's commands. */
  readonly xenstoreConnect?: XenstoreConnect | undefined
  /** What operations at the same time look at together. Without it each looks for itself. */
  readonly looks?: Looks | undefined
}
