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
  /** What `target_id` reads since the kernel has unbound the target, as it does in a logout; undefined before. */
  unboundAs: '-1' | '4294967295' | undefined
}

/** A LUN as one session sees it. */
export interface ScsiDevice {
  readonly hctl: string
  readonly lun: number
  readonly session: Session
  /** What it said at the last inquiry. */
  identity: { readonly wwid: string; readonly serial: string; readonly isReadOnly: boolean }
  sizeBytes: number
  /** Commands that ended, and those among them that failed. */
  readonly commands: { done: number; failed: number }
  disk: BlockDevice | undefined
}

export interface DmDevice {
  readonly name: string
  readonly uuid: string
  /** `queue_if_no_path`: I/O waits while no path works. */
  isQueueing: boolean
}

/** Where a partition lies. */
export interface Part {
  readonly disk: BlockDevice
  readonly number: number
  readonly startBytes: number
}

/** A disk, a partition of one, or a device-mapper map. */
export interface BlockDevice {
  readonly name: string
  readonly major: number
  readonly minor: number
  sizeBytes: number
  readonly holders: Set<BlockDevice>
  readonly slaves: Set<BlockDevice>
  /** How often it is open. */
  openCount: number
  /** Who has it for himself, as mounts and swap do; not those stacked on it, which are its holders. */
  readonly claims: unknown[]
  /** What the kernel keeps of it, page by page. */
  readonly pages: Map<number, Uint8Array>
  /** The partitions the kernel knows on it. */
  readonly partitions: Set<BlockDevice>
  readonly part: Part | undefined
  readonly scsi: ScsiDevice | undefined
  readonly dm: DmDevice | undefined
}

/** As a disk is, so is what lies on it. */
export function isReadOnly({ scsi, part, slaves }: BlockDevice): boolean {
  return scsi?.identity.isReadOnly ?? (part === undefined ? [...slaves] : [part.disk]).some(isReadOnly)
}
