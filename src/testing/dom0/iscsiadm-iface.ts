import { type IscsiadmParts, locked, type Mode, NO_RECORDS } from './iscsiadm-parts.ts'
import { EXIT } from './iscsid.ts'
import type { RecordFile } from './node-records.ts'
import { answer, failed } from './program.ts'

/** `-m iface`. */
export function createIface(parts: IscsiadmParts): Mode {
  const { records } = parts
  return async (options, context) => {
    const name = options.get('-I')
    const operation = options.get('-o')
    return await locked(parts, context, () => {
      if (name === undefined) return answer([...records.ifaces().map(listIface), ...BUILT_IN].join(''))
      const known = records.ifaces().find(({ path }) => path.endsWith(`/${name}`))
      if (operation === 'new') {
        records.writeIface(name, new Map([...IFACE_DEFAULTS, ['iface.iscsi_ifacename', name]]))
        return answer(`${name} updated.\nNew interface ${name} added\n`)
      }
      if (known === undefined) return failed(EXIT.noObjects, NO_RECORDS)
      if (operation === 'update') {
        const values = options.values.get('-v') ?? []
        const changes = (options.values.get('-n') ?? []).map((key, n) => [key, values[n] ?? ''] as const)
        records.writeIface(name, new Map([...known.settings, ...changes]))
        return answer(`${name} updated.\n`)
      }
      for (const record of records.nodes({ iface: name })) records.remove(record)
      records.removeIface(name)
      return answer(`${name} unbound and deleted.\n`)
    })
  }
}

const IFACE_DEFAULTS = [['iface.transport_name', 'tcp']] as const
const EMPTY = '<empty>'
const BUILT_IN = ['default', 'iser'].map(
  name => `${name} ${name === 'iser' ? 'iser' : 'tcp'},${Array<string>(4).fill(EMPTY).join(',')}\n`
)

function listIface({ settings }: RecordFile): string {
  const values = ['hwaddress', 'ipaddress', 'net_ifacename', 'initiatorname'].map(
    name => settings.get(`iface.${name}`) ?? EMPTY
  )
  return `${settings.get('iface.iscsi_ifacename') ?? ''} ${settings.get('iface.transport_name') ?? ''},${values.join(',')}\n`
}
