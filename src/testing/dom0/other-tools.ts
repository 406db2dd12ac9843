import type { Machine } from './machine.ts'
import { createRecords } from './node-records.ts'
import { type Tree, textFile } from './tree.ts'

/** A node record, as another tool leaves it. */
export interface PlantedRecord {
  readonly target: string
  /** `10.0.1.1:3260` */
  readonly portal: string
  /** `default`, if left out. */
  readonly iface?: string
  /** Default -1: unknown. Another one makes another record of the same portal. */
  readonly tpgt?: number
  /** Instead of what iscsiadm would write. */
  readonly text?: string
}

/** A session that somebody else logs in. */
export interface OtherSessionSpec {
  readonly target: string
  readonly portal: string
  /** `default`, if left out. */
  readonly iface?: string
  /** Default `LOGGED_IN`. */
  readonly state?: 'LOGGED_IN' | 'FAILED'
  /** Whether the kernel looks for LUNs by itself. Default true. */
  readonly isScanned?: boolean
}

/** A session that somebody else has. */
export interface OtherSession {
  readonly id: number
  /** The kernel lets go of the target, as in a logout that goes no further; `target_id` reads this since. Default `-1`. */
  unbind(targetId?: '-1' | '4294967295'): void
  logOut(): Promise<void>
}

/** What other tools of the host do. */
export interface OtherTools {
  /** Answers the path of the file. */
  plantRecord(record: PlantedRecord): string
  addSession(spec: OtherSessionSpec): OtherSession
  /** The next `count` (default 1) logouts end with 18, as if iscsid died in each, and leave the session without target. */
  interruptLogouts(count?: number): void
}

export function createOtherTools({ tree, kernel, iscsid }: Machine): OtherTools {
  return {
    plantRecord: record => plantRecord(tree, record),
    addSession: ({ target: iqn, portal, iface = 'default', state = 'LOGGED_IN', isScanned = true }) => {
      const initiator = portal.replace(/\.\d+:\d+$/, '.10')
      const session = kernel.createSession({ iqn, portal, iface, initiator, isScanned })
      session.state = state
      return {
        id: session.sid,
        unbind: (targetId = '-1') => kernel.unbind(session, targetId),
        logOut: async () => {
          await iscsid.logout(session)
        },
      }
    },
    interruptLogouts: (count = 1) => iscsid.interruptLogouts(count),
  }
}

const UNKNOWN_TPGT = -1

function plantRecord(
  tree: Tree,
  { target, portal, iface = 'default', tpgt = UNKNOWN_TPGT, text }: PlantedRecord
): string {
  const { path } = createRecords(tree).create(target, portal, iface, tpgt)
  if (text !== undefined) tree.put(path, textFile(text, 0o600))
  return path
}
