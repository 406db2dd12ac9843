import { AssertionError } from 'node:assert'
import { createSimulatedDom0 } from 'xen-lun/testing'
import type { World } from '../scenarios/world.ts'

/** A fresh simulated dom0 with nothing on its SAN. Logins take as long as they do in the lab's emulated machine. */
export function createSimulatedWorld(): World {
  const dom0 = createSimulatedDom0({ timing: { loginMs: 1500, logoutMs: 500 } })
  const { host, san, daemons, started } = dom0
  const pid = 4711
  return {
    host,
    san,
    daemons,
    snapshot: async () => dom0.state(),
    expectClean: async () => {
      const found = dom0.leftovers()
      if (found.length > 0) throw new AssertionError({ message: `left over:\n  ${found.join('\n  ')}` })
    },
    traceProcesses: async action => {
      const before = started.length
      const result = await action()
      return { result, executed: started.slice(before).map(line => line.split(' ', 1)[0] ?? '') }
    },
    readDevice: async (path, offset, length) => await dom0.readDevice(path, offset, length),
    writeDevice: async (path, offset, data) => await dom0.writeDevice(path, offset, data),
    holdDevice: async path => {
      const device = dom0.openDevice(path, pid)
      return { pid, release: async () => device.close() }
    },
  }
}
