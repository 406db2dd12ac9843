/** What a login to a target asks the kernel for. */
export interface SessionSpec {
  readonly iqn: string
  /** `10.0.1.1:3260` */
  readonly portal: string
  readonly iface: string
  readonly initiator: string
  /** `node.session.scan = auto` */
  readonly isScanned: boolean
}

export interface Session extends SessionSpec {
  readonly sid: number
  readonly host: number
  state: 'LOGGED_IN' | 'FAILED' | 'FREE'
  /** Seconds until I/O fails after a loss. */
  recoveryTimeoutS: number
  readonly devices: Map<number, ScsiDevice>
}

/** A LUN as one session sees it. */
export interface ScsiDevice {
  readonly hctl: string
  readonly lun: number
  readonly session: Session
  /** What it said at the last inquiry. */
  identity: { readonly wwid: string; readonly serial: string }
  sizeBytes: number
  disk: BlockDevice | undefined
}

export interface DmDevice {
  readonly name: string
  readonly uuid: string
  /** `queue_if_no_path`: I/O waits while no path works. */
  isQueueing: boolean
}

/** A disk, or a device-mapper map of disks. */
export interface BlockDevice {
  readonly name: string
  readonly major: number
  readonly minor: number
  sizeBytes: number
  readonly holders: Set<BlockDevice>
  readonly slaves: Set<BlockDevice>
  /** How often it is open. */
  openCount: number
  /** How many have it, or a part of it, for themselves: mounts, swap; not those stacked on it, which are its holders. */
  claims: number
  readonly scsi: ScsiDevice | undefined
  readonly dm: DmDevice | undefined
}
