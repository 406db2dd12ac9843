import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { until } from '../world/until.ts'
import type { HostName } from './layout.ts'
import { type Machine, type MachineRoom, startMachine } from './machine.ts'
import { hostCards, socketsBefore, storageCards } from './network.ts'
import type { StorageMethods } from './storage.ts'
import type { XenHostMethods } from './xen-host.ts'

export type XenHost = Machine<HostName, XenHostMethods>
export type Storage = Machine<'storage', StorageMethods>

/** Two Xen hosts and their storage, each in a machine of its own. */
export interface Hosts {
  readonly hosta: XenHost
  readonly hostb: XenHost
  readonly storage: Storage
}

/** Boots all three, runs `work` when their agents answer, and ends them. */
export const withHosts = async <T>(
  place: Omit<MachineRoom, 'sockets'>,
  work: (hosts: Hosts) => Promise<T>
): Promise<T> => {
  const sockets = await mkdtemp(`${tmpdir()}/xen-lun-lab-`)
  const room = { ...place, sockets }
  const startHost = async (name: HostName): Promise<XenHost> => {
    await until(`the cables of ${name}`, () => socketsBefore(sockets, name).every(existsSync))
    return await startMachine({ name, kind: 'host', devices: hostCards(sockets, name) }, room)
  }
  try {
    const devices = storageCards(sockets)
    await using storage = await startMachine<'storage', StorageMethods>(
      { name: 'storage', kind: 'storage', devices },
      room
    )
    await using hosta = await startHost('hosta')
    await using hostb = await startHost('hostb')
    await Promise.all([storage, hosta, hostb].map(({ ready }) => ready))
    return await work({ hosta, hostb, storage })
  } finally {
    await rm(sockets, { recursive: true, force: true })
  }
}
