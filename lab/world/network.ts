import { writeAttribute } from './files.ts'
import { run } from './run.ts'

/** The namespace of the target: the SAN is on the far end of veth cables, so it can be cut off like a real one. */
const namespace = 'tgt'

/** Portals, as initiators write them. */
export const portals = ['10.0.1.1:3260', '10.0.2.1:3260'] as const

/** Dom0's network cards towards the SAN: two in the network of the first portal, one in that of the second. */
export const nics = [
  { name: 'p1', address: '10.0.1.10' },
  { name: 'p1b', address: '10.0.1.11' },
  { name: 'p2', address: '10.0.2.10' },
] as const

/** Runs a program in the target's namespace. `ip netns exec` would remount /sys, and hide configfs and sysfs. */
export const runInTargetNamespace = (file: string, args: readonly string[], input = ''): Promise<string> =>
  run('nsenter', [`--net=/run/netns/${namespace}`, file, ...args], { input })

/** Runs commands of `ip`, one per line. */
export const ip = (commands: readonly string[], args: readonly string[] = []): Promise<string> =>
  run('ip', [...args, '-batch', '-'], { input: `${commands.join('\n')}\n` })

const hostCommands = [
  `netns add ${namespace}`,
  ...nics.flatMap(({ name, address }) => [
    `link add ${name} type veth peer name ${name.replace('p', 't')} netns ${namespace}`,
    `addr add ${address}/24 dev ${name}`,
    `link set ${name} up`,
  ]),
]

const targetCommands = [
  'link set lo up',
  'link add br1 type bridge',
  'link set t1 master br1',
  'link set t1b master br1',
  'addr add 10.0.1.1/24 dev br1',
  'addr add 10.0.2.1/24 dev t2',
  ...['t1', 't1b', 't2', 'br1'].map(name => `link set ${name} up`),
]

// Drops both ways, or an established session would still see the target's side of the talk. Refusal only needs the way
// in: reset goes out as the answer to whatever the initiator sends.
export const ruleset = `table inet faults {
  set cut { type ipv4_addr; }
  set refused { type ipv4_addr; }
  chain in {
    type filter hook input priority 0;
    ip daddr @cut drop
    ip daddr @refused tcp dport 3260 reject with tcp reset
  }
  chain out {
    type filter hook output priority 0;
    ip saddr @cut drop
  }
}
`

/** p1 and p1b are in one network, which by default the kernel treats as if they were one card. */
const separateNics = async (): Promise<void> => {
  for (const nic of ['all', ...nics.map(({ name }) => name)]) {
    const directory = `/proc/sys/net/ipv4/conf/${nic}`
    // Answer ARP only on the card that has the address, and ask with the address of the card that asks.
    await writeAttribute(`${directory}/arp_ignore`, 1)
    await writeAttribute(`${directory}/arp_announce`, 2)
    // Strict checking drops what comes in on p1b, because the route back prefers p1.
    await writeAttribute(`${directory}/rp_filter`, 2)
  }
}

export const setUpNetwork = async (): Promise<void> => {
  await ip(hostCommands)
  await ip(targetCommands, ['-n', namespace])
  await separateNics()
  await runInTargetNamespace('nft', ['-f', '-'], ruleset)
}

const addressOf = (portal: string): string => {
  if (!portals.some(known => known === portal)) throw new Error(`no such portal: ${portal}`)
  return portal.slice(0, portal.lastIndexOf(':'))
}

const nft = (script: string): Promise<string> => runInTargetNamespace('nft', ['-f', '-'], script)

const clear = 'flush set inet faults cut\nflush set inet faults refused\n'

const release = (address: string): string =>
  ['cut', 'refused']
    .map(set => `add element inet faults ${set} { ${address} }\ndelete element inet faults ${set} { ${address} }\n`)
    .join('')

/** Packets to and from the portal vanish silently. */
export const cutPortal = async (portal: string): Promise<void> => {
  const address = addressOf(portal)
  await nft(`${release(address)}add element inet faults cut { ${address} }\n`)
}

/** New connections are reset, and established ones too, as by a target that has been restarted. */
export const refusePortal = async (portal: string): Promise<void> => {
  const address = addressOf(portal)
  await nft(`${release(address)}add element inet faults refused { ${address} }\n`)
  await runInTargetNamespace('ss', ['--kill', '--tcp', 'src', address])
}

export const restorePortal = async (portal: string): Promise<void> => {
  await nft(release(addressOf(portal)))
}

export const restoreAllPortals = async (): Promise<void> => {
  await nft(clear)
}
