import type { OperationOptions } from '../core/options.ts'
import { deleteIface, listIfaces, newIface, updateIface } from './iface.commands.ts'
import type { Iface } from './iface.parse.ts'
import type { Runner } from './runner.ts'

/** Interface records: which network card and addresses sessions use. */
export interface Interfaces {
  /** All interface records, with the built-in ones. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
  ifaces(options?: OperationOptions): Promise<readonly Iface[]>
  /** Makes an interface record; leaves one that exists alone. */
  createIface(name: string, options?: OperationOptions): Promise<'created' | 'exists'>
  /** Changes settings of an interface record: `{ 'iface.net_ifacename': 'eth1' }`. */
  updateIface(name: string, settings: Readonly<Record<string, string>>, options?: OperationOptions): Promise<void>
  /** Deletes an interface record, and as iscsiadm does every node record bound to it; false if it is not there. */
  deleteIface(name: string, options?: OperationOptions): Promise<boolean>
}

export function createInterfaces(runner: Runner): Interfaces {
  const isThere = async (name: string, options?: OperationOptions): Promise<boolean> =>
    (await runner.whole(listIfaces(), options)).some(iface => iface.name === name)
  return {
    ifaces: async options => await runner.whole(listIfaces(), options),
    createIface: async (name, options) => {
      const command = newIface(name)
      if (await isThere(name, options)) return 'exists'
      await runner.whole(command, options)
      return 'created'
    },
    updateIface: async (name, settings, options) => await runner.whole(updateIface(name, settings), options),
    deleteIface: async (name, options) => {
      const command = deleteIface(name)
      if (!(await isThere(name, options))) return false
      await runner.whole(command, options)
      return true
    },
  }
}
