import { AssertionError } from 'node:assert'
import type { DiskState, HostState, MapState, SessionState } from 'xen-lun/testing'
import { listFiles, listNames, readText, resolveLink } from './files.ts'
import { watchedMaps } from './multipathd.ts'
import { listNodes } from './xenstore.ts'

/** Where open-iscsi keeps its records; Debian moved them from the second to the first after Debian 12. */
export const databases = ['/var/lib/iscsi', '/etc/iscsi']

/** Names the process that serves the block script's calls; it stays a few seconds for the next one. */
const servingProcess = '/run/xen-lun/script/server'
const locks = '/run/xen-lun/locks/'

const bytesPerSector = 512

const listDatabase = (name: string): string[] => databases.flatMap(root => listFiles(`${root}/${name}`))

const readSession = (name: string): SessionState => {
  const session = `/sys/class/iscsi_session/${name}`
  const id = Number(name.replace('session', ''))
  const connection = `/sys/class/iscsi_connection/connection${id}:0`
  const address = readText(`${connection}/persistent_address`)
  const port = readText(`${connection}/persistent_port`)
  return {
    id,
    iqn: readText(`${session}/targetname`),
    portal: `${address}:${port}`,
    iface: readText(`${session}/ifacename`),
    state: readText(`${session}/state`),
  }
}

const readDisk = (name: string): DiskState[] => {
  const device = resolveLink(`/sys/block/${name}/device`)
  const match = /\/session(\d+)\/.*\/\d+:\d+:\d+:(\d+)$/.exec(device)
  if (match === null) return []
  return [
    {
      name,
      sessionId: Number(match[1]),
      lun: Number(match[2]),
      wwid: readText(`${device}/wwid`).replace(/^naa\./, '3'),
      state: readText(`${device}/state`),
      sizeBytes: Number(readText(`/sys/block/${name}/size`)) * bytesPerSector,
    },
  ]
}

const readMap = (name: string): MapState => ({
  name: readText(`/sys/block/${name}/dm/name`),
  uuid: readText(`/sys/block/${name}/dm/uuid`),
  sizeBytes: Number(readText(`/sys/block/${name}/size`)) * bytesPerSector,
  disks: listNames(`/sys/block/${name}/slaves`),
})

const readWwids = (): string[] => {
  const lines = readText('/etc/multipath/wwids').split('\n')
  return lines.filter(line => line !== '' && !line.startsWith('#')).map(line => line.replaceAll('/', ''))
}

const backends = '/local/domain/0/backend/vbd'

const readVbds = async (): Promise<string[]> => {
  const domains = (await listNodes(backends)).map(domid => `${backends}/${domid}`)
  const devices = await Promise.all(domains.map(async path => (await listNodes(path)).map(name => `${path}/${name}`)))
  return devices.flat()
}

export const snapshot = async (): Promise<HostState> => {
  const blocks = listNames('/sys/block')
  const [watched, vbds] = await Promise.all([watchedMaps(), readVbds()])
  return {
    sessions: listNames('/sys/class/iscsi_session').map(readSession),
    disks: blocks.filter(name => name.startsWith('sd')).flatMap(readDisk),
    maps: blocks.filter(name => name.startsWith('dm-')).map(readMap),
    watched,
    records: listDatabase('nodes'),
    discoveries: listDatabase('send_targets'),
    ifaces: listDatabase('ifaces'),
    wwids: readWwids(),
    journal: [
      ...listFiles('/run/xen-lun').filter(path => path !== servingProcess && !path.startsWith(locks)),
      ...listFiles('/var/lib/xen-lun'),
    ],
    vbds,
  }
}

/** One line per thing that is there and would not be on a host where nothing is attached. */
export const leftovers = (state: HostState): string[] =>
  Object.entries(state).flatMap(([kind, found]: [string, readonly unknown[] | undefined]) =>
    (found ?? []).map(item => `${kind}: ${typeof item === 'string' ? item : JSON.stringify(item)}`)
  )

/** Throws an error that lists everything that is left over. */
export const expectClean = async (): Promise<void> => {
  const found = leftovers(await snapshot())
  if (found.length === 0) return
  throw new AssertionError({ message: `left over:\n${found.map(line => `  ${line}`).join('\n')}` })
}
