import { ip, ruleset, runInTargetNamespace } from '../world/network.ts'
import { run } from '../world/run.ts'
import { addressesOf, cables, type HostName, hostNames, migrationAddressOf, mtu, networks } from './layout.ts'

// All cards are named by their place on the bus, in the order in which QEMU is told of them.

const mac = (host: HostName, network: number, end: number): string =>
  `52:54:00:0${end}:0${hostNames.indexOf(host)}:0${network}`

const card = (id: string, address: string, end: string, socket: string): readonly string[] => [
  '-netdev',
  `stream,id=${id},server=${end},addr.type=unix,addr.path=${socket}`,
  '-device',
  `virtio-net-pci,netdev=${id},mac=${address}`,
]

const socketOf = (sockets: string, host: HostName, network: string): string => `${sockets}/${host}-${network}`

const migrationSocket = (sockets: string): string => `${sockets}/migration`

/** What must be there before a host starts: the other ends of its cables. */
export const socketsBefore = (sockets: string, host: HostName): readonly string[] => [
  ...networks.map(network => socketOf(sockets, host, network)),
  ...(host === hostNames[0] ? [] : [migrationSocket(sockets)]),
]

/** The storage host's end of its cables: it listens, so it starts first. */
export const storageCards = (sockets: string): readonly string[] =>
  cables.flatMap(({ host, network }, at) => card(`net${at}`, mac(host, at, 1), 'on', socketOf(sockets, host, network)))

/** Of the cable between the hosts the first one has the end that listens. */
export const hostCards = (sockets: string, host: HostName): readonly string[] => [
  ...networks.flatMap((network, at) => card(`net${at}`, mac(host, at, 2), 'off', socketOf(sockets, host, network))),
  ...card('migration', mac(host, 0, 3), host === hostNames[0] ? 'on' : 'off', migrationSocket(sockets)),
]

const linkUp = (name: string): string => `link set ${name} mtu ${mtu} up`

/** In a host. */
export const setUpHostNetwork = async (host: HostName): Promise<void> => {
  const addresses = [...addressesOf(host), migrationAddressOf(host)]
  await ip(addresses.flatMap((address, at) => [`addr add ${address}/24 dev eth${at}`, linkUp(`eth${at}`)]))
}

// Of one host: what it sends to the other one passes the bridge, and not these chains.
const hostRuleset = `table inet hosts {
  set cut { type ipv4_addr; }
  chain in {
    type filter hook input priority 0;
    ip saddr @cut drop
  }
  chain out {
    type filter hook output priority 0;
    ip daddr @cut drop
  }
}
`

/** In the storage host, whose own network becomes what the targets' namespace is in the lab of one machine. */
export const setUpStorageNetwork = async (): Promise<void> => {
  await run('ip', ['netns', 'attach', 'tgt', String(process.pid)])
  await ip([
    ...networks.flatMap((network, at) => [
      `link add br${at + 1} type bridge`,
      `addr add ${network}.1/24 dev br${at + 1}`,
      linkUp(`br${at + 1}`),
    ]),
    ...cables.flatMap(({ bridge }, at) => [linkUp(`eth${at}`), `link set eth${at} master ${bridge}`]),
  ])
  await runInTargetNamespace('nft', ['-f', '-'], ruleset + hostRuleset)
}

const nft = (script: string): Promise<string> => runInTargetNamespace('nft', ['-f', '-'], script)

/** Packets between the storage and this host vanish silently. */
export const cutHost = async (host: HostName): Promise<void> => {
  await nft(`add element inet hosts cut { ${addressesOf(host).join(', ')} }\n`)
}

export const restoreHosts = async (): Promise<void> => {
  await nft('flush set inet hosts cut\n')
}
