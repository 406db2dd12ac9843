// Who is where: two storage networks, as of an array with two controllers, and a cable between the hosts for migrations.

export const hostNames = ['hosta', 'hostb'] as const
export type HostName = (typeof hostNames)[number]

const machineNames = [...hostNames, 'storage'] as const
export type MachineName = (typeof machineNames)[number]

export const networks = ['10.0.1', '10.0.2'] as const

/** Where a host's network cards end at the storage host: one cable per host and network, in the order of its cards. */
export const cables = hostNames.flatMap(host =>
  networks.map((network, at) => ({ host, network, bridge: `br${at + 1}` }))
)

/** The addresses of a host, one in each network. */
export const addressesOf = (host: HostName): readonly string[] =>
  networks.map(network => `${network}.${11 + hostNames.indexOf(host)}`)

/** The other end of the cable for migrations. */
export const migrationAddressOf = (host: HostName): string => `10.0.3.${11 + hostNames.indexOf(host)}`

/** Bytes in a packet on all cables. Nothing is offloaded to such a card, so that each packet costs its time. */
export const mtu = 16_000

export const initiatorOf = (host: HostName): string => `iqn.2026-01.test.lab:${host}`

/** Where a host waits for guests; image/dom0/lab/migrate-to knows it, too. */
export const migrationPort = 8002

export const isMachineName = (name: string | undefined): name is MachineName =>
  machineNames.some(known => known === name)
