import type { OperationOptions } from '../../core/options.ts'
import type { Host } from '../../host/host.ts'
import type { ListedGuest } from './guests.ts'
import type { ListedPath, PathCount } from './paths.ts'

/** What a listing says of one LUN. What could not be found out reads `unknown`; what is undefined is not there. */
export interface ListedAttachment {
  readonly target: string
  readonly lun: number
  /** Undefined for a LUN that names itself nowhere, or has not yet. */
  readonly wwid: string | undefined
  /** `/dev/mapper/…`, or `/dev/sdb` without multipath. */
  readonly device: string | undefined
  readonly sizeBytes: number | undefined
  /** Its multipath map, and what multipathd says of it. */
  readonly map: ListedMap | undefined
  /** Who holds it, by the journal. Nobody: it was attached by other means, or what held it is gone. */
  readonly owners: readonly ListedOwner[] | 'unknown'
  /** Whose disk it is. */
  readonly guests: readonly ListedGuest[]
  /** Sessions it is on, and, if it has owners, those it should be on. */
  readonly paths: readonly ListedPath[]
  readonly pathCount: PathCount
  /** Somebody is at work on it now. */
  readonly isBusy: boolean
  /** Noted before the host was booted: nothing of it is there any more. */
  readonly isStale: boolean
}

/** One who holds a LUN. */
export interface ListedOwner {
  /** `backend/vbd/3/51712`, or any name. */
  readonly name: string
  readonly state: 'attaching' | 'attached' | 'detaching'
  /** The process that last changed the state, and whether it still runs, which one that has attached need not. */
  readonly pid: number | undefined
  readonly isProcessAlive: boolean | 'unknown'
  /** How much longer it holds the LUN, 0 if its time is over; undefined for one that holds it until it lets go. */
  readonly expiresInMs: number | undefined
}

/** A multipath map, with multipathd's words for its state. */
export interface ListedMap {
  readonly name: string
  /** `dm-0` */
  readonly dm: string
  readonly state: 'active' | 'suspended' | 'unknown'
  /** I/O waits when no path is left, instead of failing. */
  readonly queuesIfNoPath: boolean | 'unknown'
}

/** Every LUN of a host, and why what is unknown is. */
export interface Listing {
  /** By target and number. */
  readonly attachments: readonly ListedAttachment[]
  /**
   * Why nothing is known of guests, of multipathd's side of maps and paths, or of some owners and logins; undefined where
   * it was found out.
   */
  readonly unknown: {
    readonly xenstore: string | undefined
    readonly multipathd: string | undefined
    readonly journal: string | undefined
  }
}

/** Options of {@link listAttachments}. */
export interface ListOptions extends OperationOptions {
  /** Where to look. Default: this machine. */
  readonly host?: Host | undefined
}
