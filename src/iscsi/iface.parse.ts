import { unexpected, wholeLinesOf } from './lines.ts'

/** An interface record: which network card and addresses a session uses. */
export interface Iface {
  readonly name: string
  /** `tcp`, `iser`, or an offload driver. */
  readonly transport: string
  readonly hardwareAddress?: string | undefined
  readonly address?: string | undefined
  /** Network interface the session is bound to: `eth1`. */
  readonly netdev?: string | undefined
  /** The initiator's name on this interface, if it differs from the host's. */
  readonly initiator?: string | undefined
}

// NAME TRANSPORT,HWADDRESS,IPADDRESS,NET_IFACENAME,INITIATORNAME: open-iscsi README, "iscsiadm -m iface"
const LINE = /^(\S+) ([^\s,]+),([^,]+),([^,]+),([^,]+),([^,]+)$/

/** Reads what `iscsiadm -m iface` prints. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parseIfaces(text: string, tool: string): readonly Iface[] {
  return wholeLinesOf(text, tool).flatMap((line, n) => {
    if (line === '') return []
    const [, name, transport, hardwareAddress, address, netdev, initiator] = LINE.exec(line) ?? []
    if (name === undefined || transport === undefined) throw unexpected(tool, n + 1, line, 'is no interface')
    return [
      {
        name,
        transport,
        hardwareAddress: unlessEmpty(hardwareAddress),
        address: unlessEmpty(address),
        netdev: unlessEmpty(netdev),
        initiator: unlessEmpty(initiator),
      },
    ]
  })
}

function unlessEmpty(value: string | undefined): string | undefined {
  return value === '<empty>' ? undefined : value
}
