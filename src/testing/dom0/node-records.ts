import { DISCOVERY_DEFAULTS, NODE_DEFAULTS } from './record-defaults.ts'
import { splitPortal } from './session.ts'
import { link as linkTo, type Tree, textFile } from './tree.ts'

/** A node record or a discovery record, as a file. */
export interface RecordFile {
  readonly path: string
  readonly settings: ReadonlyMap<string, string>
}

/** Which node records an iscsiadm command is about. */
export interface RecordChoice {
  readonly target?: string | undefined
  readonly portal?: string | undefined
  readonly iface?: string | undefined
}

/** open-iscsi's database of records. */
export interface Records {
  nodes(choice?: RecordChoice): readonly RecordFile[]
  /**
   * Makes a record with the built-in settings, or resets the one that is there. `source` is the portal whose discovery
   * found it; without one it is static.
   */
  create(target: string, portal: string, iface: string, tpgt: number, source?: string): RecordFile
  update(record: RecordFile, changes: ReadonlyMap<string, string>): void
  remove(record: RecordFile): void
  discovery(portal: string): RecordFile | undefined
  createDiscovery(portal: string): void
  removeDiscovery(portal: string): boolean
  ifaces(): readonly RecordFile[]
  writeIface(name: string, settings: ReadonlyMap<string, string>): void
  removeIface(name: string): boolean
}

/** Debian's place for it since Debian 13. */
export const DATABASE = '/var/lib/iscsi'
const UNKNOWN_TPGT = -1
/** Target, portal with tpgt, interface. */
const NAMES_OF_RECORD = 3

export function createRecords(tree: Tree): Records {
  for (const folder of ['nodes', 'send_targets', 'ifaces']) tree.makeDirectory(`${DATABASE}/${folder}`)
  const read = (path: string): RecordFile[] => {
    const node = tree.find(path)
    if (node?.kind !== 'file') return []
    return [{ path, settings: parseSettings(String(node.read())) }]
  }
  // In place, as iscsiadm does.
  const write = (path: string, settings: ReadonlyMap<string, string>): void => {
    const node = tree.find(path)
    if (node?.kind !== 'file') tree.put(path, textFile(formatRecord(settings), 0o600))
    else {
      void node.write(formatRecord(settings))
      tree.touch(node)
    }
  }
  const all = (): readonly RecordFile[] =>
    tree.list(`${DATABASE}/nodes`).flatMap(target =>
      tree.list(`${DATABASE}/nodes/${target}`).flatMap(entry => {
        const path = `${DATABASE}/nodes/${target}/${entry}`
        return tree.find(path)?.kind === 'directory'
          ? tree.list(path).flatMap(iface => read(`${path}/${iface}`))
          : read(path)
      })
    )
  const discoveryPath = (portal: string): string => `${DATABASE}/send_targets/${splitPortal(portal).join(',')}`
  return {
    nodes: ({ target, portal, iface } = {}) =>
      all().filter(
        record =>
          (target === undefined || record.settings.get('node.name') === target) &&
          (portal === undefined || portalOf(record) === portal) &&
          (iface === undefined || record.settings.get('iface.iscsi_ifacename') === iface)
      ),
    create: (target, portal, iface, tpgt, source) => {
      const [address, port] = splitPortal(portal)
      const entry = `${DATABASE}/nodes/${target}/${address},${port}`
      const path = tpgt === UNKNOWN_TPGT ? entry : `${entry},${tpgt}/${iface}`
      const net = read(`${DATABASE}/ifaces/${iface}`)[0]?.settings.get('iface.net_ifacename')
      const settings = new Map([
        ['node.name', target],
        ['node.tpgt', String(tpgt)],
        ...NODE_DEFAULTS,
        ['iface.iscsi_ifacename', iface],
        ...(net === undefined ? [] : ([['iface.net_ifacename', net]] as const)),
        ['node.conn[0].address', address],
        ['node.conn[0].port', port],
      ])
      if (source !== undefined) {
        const [from, fromPort] = splitPortal(source)
        settings.set('node.discovery_address', from).set('node.discovery_port', fromPort)
        settings.set('node.discovery_type', 'send_targets')
        // usr/idbm.c, setup_disc_to_node_link()
        tree.put(`${discoveryPath(source)}/${target},${address},${port},${tpgt},${iface}`, linkTo(parentOf(path)))
      }
      write(path, settings)
      return { path, settings }
    },
    update: ({ path, settings }, changes) => write(path, new Map([...settings, ...changes])),
    remove: ({ path }) => {
      tree.remove(path)
      const link = path.split('/').slice(-NAMES_OF_RECORD).join(',')
      for (const source of tree.list(`${DATABASE}/send_targets`)) {
        tree.remove(`${DATABASE}/send_targets/${source}/${link}`)
      }
      // The folders above it, as far as they are empty.
      for (let folder = parentOf(path); folder !== `${DATABASE}/nodes`; folder = parentOf(folder)) {
        if (tree.list(folder).length > 0) return
        tree.remove(folder)
      }
    },
    discovery: portal => read(`${discoveryPath(portal)}/st_config`)[0],
    createDiscovery: portal => {
      const [address, port] = splitPortal(portal)
      const place: readonly (readonly [string, string])[] = [
        ['discovery.sendtargets.address', address],
        ['discovery.sendtargets.port', port],
      ]
      write(`${discoveryPath(portal)}/st_config`, new Map([...DISCOVERY_DEFAULTS, ...place]))
    },
    removeDiscovery: portal => tree.remove(discoveryPath(portal)),
    ifaces: () => tree.list(`${DATABASE}/ifaces`).flatMap(name => read(`${DATABASE}/ifaces/${name}`)),
    writeIface: (name, settings) => write(`${DATABASE}/ifaces/${name}`, settings),
    removeIface: name => tree.remove(`${DATABASE}/ifaces/${name}`),
  }
}

/** `10.0.1.1:3260` */
export function portalOf({ settings }: RecordFile): string {
  const address = settings.get('node.conn[0].address') ?? ''
  return `${address.includes(':') ? `[${address}]` : address}:${settings.get('node.conn[0].port') ?? ''}`
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function parseSettings(text: string): ReadonlyMap<string, string> {
  const lines = text.split('\n').map(line => /^([^#\s=]+)\s*=\s*(.*?)\s*$/.exec(line))
  return new Map(lines.flatMap(match => (match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const])))
}

function formatRecord(settings: ReadonlyMap<string, string>): string {
  const lines = [...settings].filter(([, value]) => value !== '').map(([name, value]) => `${name} = ${value}\n`)
  return `# BEGIN RECORD 2.1.11\n${lines.join('')}# END RECORD\n`
}
