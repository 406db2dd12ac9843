import type { Scsi } from '../../block/scsi.ts'
import { formatHctl } from '../../core/hctl.ts'
import { type IscsiSession, sessionPortal } from '../../iscsi/session.ts'
import type { MultipathMap } from '../../multipath/maps.decode.ts'
import { ourSessions, sessionKey } from '../journal/jobs.ts'
import type { LunDescription, LunDevice } from '../volume/find-lun.ts'

/** A way to a LUN: one portal through one interface. */
export interface ListedPath {
  /** `10.0.1.1:3260`; `unknown` where the kernel does not tell any more. */
  readonly portal: string
  readonly iface: string
  /** `up`: it takes I/O. `unknown`: kernel and session think so, and multipathd was not reached. */
  readonly state: 'up' | 'down' | 'unknown'
  /** The session's state; undefined where there is none. */
  readonly session: IscsiSession['state'] | undefined
  /** `3:0:0:1`; undefined while there is no SCSI device. */
  readonly hctl: string | undefined
  /** `sdb` */
  readonly disk: string | undefined
  /** The kernel's word for the SCSI device: `running`, `transport-offline`, … */
  readonly device: string | undefined
  /** What multipathd's last check found; undefined for a path that is in no map. */
  readonly checker: string | undefined
}

/** How many paths are how. */
export interface PathCount {
  readonly up: number
  readonly down: number
  readonly unknown: number
}

/** What multipathd says of a map; undefined for one it does not know. */
export type MapAnswer = MultipathMap | 'unknown' | undefined

interface Ways extends Pick<LunDescription, 'map'> {
  readonly sessions: readonly IscsiSession[]
  readonly devices: readonly LunDevice[]
  /** Endpoints this library logged in, see `endpointKey`. */
  readonly logins: readonly string[]
  readonly told: MapAnswer
}

export async function listPaths(
  scsi: Scsi,
  { sessions, devices, logins, map, told }: Ways
): Promise<readonly ListedPath[]> {
  const ours = ourSessions(sessions, { logins })
  const found = await Promise.all(
    sessions.map(async (session): Promise<readonly ListedPath[]> => {
      const own = devices.find(each => each.session.sid === session.sid)
      if (own === undefined && !ours.includes(session)) return []
      const device = own === undefined ? undefined : await scsi.state(own.hctl)
      const inMap = typeof told === 'object' ? told.paths.find(path => path.device === own?.disk) : undefined
      const isRunning = session.state === 'logged-in' && device === 'running' && own?.disk !== undefined
      const isUsed = map === undefined || (inMap?.dmState === 'active' && inMap.checkerState !== 'faulty')
      return [
        {
          portal: sessionPortal(session),
          iface: session.iface,
          state: isRunning && told === 'unknown' && map !== undefined ? 'unknown' : isRunning && isUsed ? 'up' : 'down',
          session: session.state,
          hctl: own === undefined ? undefined : formatHctl(own.hctl),
          disk: own?.disk,
          device,
          checker: told === 'unknown' && map !== undefined ? 'unknown' : inMap?.raw.checker,
        },
      ]
    })
  )
  const missing = logins.filter(login => !sessions.some(session => sessionKey(session) === login))
  return [...found.flat(), ...missing.map(withoutSession)].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

function withoutSession(login: string): ListedPath {
  const [portal = '', iface = ''] = login.split(' ')
  const nothing = { session: undefined, hctl: undefined, disk: undefined, device: undefined, checker: undefined }
  return { portal, iface, state: 'down', ...nothing }
}

function keyOf({ portal, iface }: ListedPath): string {
  return `${portal} ${iface}`
}

export function countPaths(paths: readonly ListedPath[]): PathCount {
  const count = (wanted: ListedPath['state']): number => paths.filter(({ state }) => state === wanted).length
  return { up: count('up'), down: count('down'), unknown: count('unknown') }
}
