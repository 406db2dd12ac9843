import { queued } from '../../flow/queued-locks.ts'
import { createFlock } from '../../host/flock.ts'
import type { Host } from '../../host/host.ts'
import { createMultipathdSocket } from '../../host/multipathd-socket.ts'
import { createExecutor } from './executor.ts'
import { createFiles } from './files.ts'
import type { Machine } from './machine.ts'
import { createConnection } from './multipathd-connection.ts'
import { createProcess } from './process.ts'
import { createXenstoredConnect } from './xenstored-connection.ts'

/** One process that uses the library on the simulated host. */
export interface SimulatedUser {
  readonly pid: number
  /** To be given to `attachLun`, `createIscsiadm`, … */
  readonly host: Host
  /** Ends it in the middle of whatever it does; what it began elsewhere goes on. */
  kill(): void
}

const SOCKET = '\0/org/kernel/linux/storage/multipathd'
const COMMAND = ['node', '/usr/lib/xen-lun/main.js']

/** Starts a process on a machine; `started` gets a line for each program that it runs. */
export function startUser(machine: Machine, pid: number, started: string[]): SimulatedUser {
  const { tree, scheduler, programs, multipathd, proc } = machine
  const process = createProcess(pid, scheduler, (user, descriptor) => machine.flock.release(user, descriptor))
  proc.addProcess(pid, COMMAND)
  const files = createFiles(tree, process, proc)
  const listen = (): ((line: string) => string) | undefined =>
    multipathd.isRunning() ? line => multipathd.ask(line) : undefined
  const executor = createMultipathdSocket(createExecutor(programs, process, started), {
    paths: [SOCKET],
    connect: () => createConnection(process, scheduler, listen),
  })
  return {
    pid,
    host: {
      executor,
      files,
      clock: process.clock,
      locks: queued(createFlock({ executor, files }), process.clock),
      xenstoreConnect: createXenstoredConnect(process, machine.xenstored),
    },
    kill: () => {
      if (process.isDead()) return
      process.kill()
      proc.removeProcess(pid)
    },
  }
}
