import { createLocalHost, createXenstoreConnection } from 'xen-lun'
import type { World as SharedWorld } from '../../test/scenarios/world.ts'
import type { Daemons } from './daemons.ts'
import { createDaemons } from './daemons.ts'
import { holdDevice, readDevice, writeDevice } from './devices.ts'
import type { Guest } from './guest.ts'
import { createGuest } from './guest.ts'
import { isSocketInReach } from './multipathd.ts'
import { traceProcesses } from './processes.ts'
import { createSan } from './san.ts'
import { expectClean, snapshot } from './state.ts'

/** The real dom0: the machine a scenario runs on. */
export interface World extends SharedWorld {
  readonly guest: Guest
  readonly daemons: Daemons
  /** What scenarios with random events begin with. */
  readonly seed: number
  /** What is repeated many times plays a part of it, chosen by the seed. */
  readonly isPart: boolean
}

type Choice = Pick<World, 'seed' | 'isPart'>

/** Builds the SAN and starts the daemons. Once per boot. */
export const createWorld = async ({ seed = 1, isPart = false }: Partial<Choice> = {}): Promise<World> => {
  const daemons = createDaemons()
  const [san] = await Promise.all([createSan(), daemons.iscsid.start(), daemons.multipathd.start()])
  const host = createLocalHost()
  const hasSocket = await isSocketInReach()
  return {
    host,
    san,
    xenstoreDevice: createXenstoreConnection({ paths: ['/dev/xen/xenbus'] }),
    guest: createGuest(),
    daemons,
    seed,
    isPart,
    snapshot,
    expectClean,
    traceProcesses: async action => {
      const { result, executed } = await traceProcesses(action)
      // Some builds of Node cannot reach an abstract socket and must start multipathd's client for each question.
      return { result, executed: executed.filter(name => hasSocket || name !== 'multipathd') }
    },
    readDevice,
    writeDevice,
    holdDevice,
  }
}
