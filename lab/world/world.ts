import type { Daemons } from './daemons.ts'
import { createDaemons } from './daemons.ts'
import type { Guest } from './guest.ts'
import { createGuest } from './guest.ts'
import type { Traced } from './processes.ts'
import { traceProcesses } from './processes.ts'
import type { San } from './san.ts'
import { createSan } from './san.ts'
import type { HostState } from './state.ts'
import { expectClean, snapshot } from './state.ts'

/** What a scenario has to play with: dom0 is the machine it runs on. */
export interface World {
  readonly san: San
  readonly guest: Guest
  readonly daemons: Daemons
  /** What the host holds now. */
  snapshot(): Promise<HostState>
  /** Throws an error that lists every session, disk, map, record, WWID, ledger file and backend on the host. */
  expectClean(): Promise<void>
  /** Lists the programs that this process starts during `action`. */
  traceProcesses<T>(action: () => Promise<T>): Promise<Traced<T>>
}

/** Builds the SAN and starts the daemons. Once per boot. */
export const createWorld = async (): Promise<World> => {
  const daemons = createDaemons()
  const [san] = await Promise.all([createSan(), daemons.iscsid.start(), daemons.multipathd.start()])
  return { san, guest: createGuest(), daemons, snapshot, expectClean, traceProcesses }
}
