import { queued } from '../flow/queued-locks.ts'
import { createLooks } from '../flow/shared-looks.ts'
import { createExecaExecutor } from './execa.ts'
import { createFlock } from './flock.ts'
import type { Host } from './host.ts'
import { logged } from './logged.ts'
import { createMultipathdSocket } from './multipathd-socket.ts'
import { createNodeClock } from './node-clock.ts'
import { createNodeFiles } from './node-files.ts'
import { createXenstoreConnection } from './xenstore-connection.ts'

/** This machine. Replace any port to test, to record, or to reach a host in another way. */
export function createLocalHost(ports: Partial<Host> = {}): Host {
  const files = ports.files ?? createNodeFiles()
  const executor = ports.executor ?? logged(createMultipathdSocket(createExecaExecutor()))
  const clock = ports.clock ?? createNodeClock()
  // Another executor may lead to another host, or record, or replay: xenstored has to be reached by it too.
  const xenstoreConnect = ports.executor === undefined ? createXenstoreConnection() : undefined
  return {
    files,
    executor,
    clock,
    locks: ports.locks ?? queued(createFlock({ executor, files }), clock),
    xenstoreConnect: ports.xenstoreConnect ?? xenstoreConnect,
    looks: ports.looks ?? createLooks(),
  }
}
