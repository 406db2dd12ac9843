// Who is where. Two storage networks, as of an array with two controllers; migrations use the first.

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

export const initiatorOf = (host: HostName): string => `iqn.2026-01.test.lab:${host}`

/** Where a host waits for guests; image/dom0/lab/migrate-to knows it, too. */
export const migrationPort = 8002

export const isMachineName = (name: string | undefined): name is MachineName =>
  machineNames.some(known => known === name)
