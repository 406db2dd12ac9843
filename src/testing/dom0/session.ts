import type { Session } from './devices.ts'
import { attribute, fileError, link, type Tree } from './tree.ts'

/** Shows a session in sysfs; `scan` is what a write to its host's attribute does. */
export function publishSession(tree: Tree, session: Session, scan: (request: string) => void): void {
  const { sid, host, iqn, iface, portal } = session
  const [address, port] = splitPortal(portal)
  const place = `/sys/devices/platform/host${host}/session${sid}/iscsi_session/session${sid}`
  const show = (name: string, read: () => string): void =>
    tree.put(
      `${place}/${name}`,
      attribute(() => `${read()}\n`)
    )
  show('targetname', () => iqn)
  show('state', () => session.state)
  show('ifacename', () => iface)
  show('target_id', () => session.unboundAs ?? '0')
  show('tpgt', () => '1')
  tree.put(
    `${place}/recovery_tmo`,
    attribute(
      () => `${session.recoveryTimeoutS}\n`,
      text => {
        session.recoveryTimeoutS = Number(text)
      }
    )
  )
  tree.put(`/sys/class/iscsi_session/session${sid}`, link(place))
  const connection = `/sys/class/iscsi_connection/connection${sid}:0`
  // A connection without socket has no address of its own.
  const current = (text: string) => (): string => {
    if (session.state !== 'LOGGED_IN') throw fileError('ENOTCONN', connection)
    return `${text}\n`
  }
  tree.put(
    `${connection}/persistent_address`,
    attribute(() => `${address}\n`)
  )
  tree.put(
    `${connection}/persistent_port`,
    attribute(() => `${port}\n`)
  )
  tree.put(`${connection}/address`, attribute(current(address)))
  tree.put(`${connection}/port`, attribute(current(port)))
  tree.put(
    `/sys/class/scsi_host/host${host}/scan`,
    attribute(() => '', scan)
  )
}

/** `10.0.1.1:3260` and `[fd00::1]:3260` as address and port. */
export function splitPortal(portal: string): readonly [address: string, port: string] {
  const at = portal.lastIndexOf(':')
  return [portal.slice(0, at).replaceAll(/[[\]]/g, ''), portal.slice(at + 1)]
}

export function hideSession(tree: Tree, { sid, host }: Session): void {
  tree.remove(`/sys/class/iscsi_session/session${sid}`)
  tree.remove(`/sys/class/iscsi_connection/connection${sid}:0`)
  tree.remove(`/sys/class/scsi_host/host${host}`)
  tree.remove(`/sys/devices/platform/host${host}`)
}
