/** A process that answered, but not with success. `stderr` is cut to its last 2 KiB and holds no secret. */
export interface CommandFailure {
  /** The argv for people, secrets masked. */
  readonly command: string
  readonly exitCode: number
  readonly stderr: string
}

/** One who still uses a block device. */
export interface DeviceUser {
  readonly kind: 'mount' | 'swap' | 'holder' | 'xen-backend' | 'process' | 'open' | 'owner'
  /** The device used: `dm-3`, `sdb`. */
  readonly device: string
  /** Mount point, holder's name (`vg-root (LVM)`), backend's name (`vbd-3-51712`), `pid command`, or the owner that has a plain disk. */
  readonly name: string
  /** A Xen backend's state: `Connected`, `Closing`, … */
  readonly state?: string
  /** Name of the domain a Xen backend serves. */
  readonly domain?: string
}

/** What did not work while cleaning up. */
export interface FailedStep {
  readonly step: string
  readonly message: string
}

/**
 * What each error code carries. Adding a code is a minor change, changing one a major.
 * `target` is an iSCSI name, `portal` reads `10.0.0.1:3260` or `[fd00::1]:3260`.
 */
export interface ErrorDetails {
  // Caller
  INVALID_INPUT: { readonly field: string; readonly reason: string }

  // Processes
  COMMAND_NOT_FOUND: { readonly file: string }
  COMMAND_FAILED: CommandFailure
  COMMAND_KILLED: { readonly command: string; readonly signal: string | undefined }
  COMMAND_TIMEOUT: { readonly command: string; readonly timeoutMs: number }
  UNEXPECTED_OUTPUT: { readonly tool: string; readonly line: number; readonly text: string }

  // Waiting
  TIMEOUT: { readonly awaited: string; readonly timeoutMs: number }
  LOCK_TIMEOUT: { readonly lock: string; readonly timeoutMs: number }
  /** Of a lock, or a folder of locks or notes: somebody else could have a hand in it. */
  PATH_UNSAFE: { readonly path: string; readonly reason: string }

  // open-iscsi
  ISCSI_FAILED: CommandFailure & { readonly exitName: string }
  ISCSID_NOT_RUNNING: CommandFailure
  ISCSI_DB_BUSY: CommandFailure
  ISCSI_DB_BROKEN: CommandFailure
  ISCSI_AUTH_FAILED: { readonly target: string; readonly portal: string | undefined }
  ISCSI_LOGIN_REJECTED: {
    readonly target: string
    readonly portal: string | undefined
    /** Undefined where the portal itself was asked. */
    readonly exitCode: number | undefined
  }
  ISCSI_PORTAL_UNREACHABLE: {
    readonly target: string | undefined
    readonly portal: string | undefined
    /** What iscsiadm called it, where it answered for this portal alone. */
    readonly exitName?: string
  }
  ISCSI_SESSION_UNUSABLE: {
    readonly target: string
    readonly portal: string
    readonly sid: number
    /** As in `IscsiSession`: `failed`, `free`, `unbound`. */
    readonly state: string
  }
  ISCSI_NO_RECORD: { readonly target: string; readonly portal: string | undefined }
  ISCSI_LOGOUT_FAILED: { readonly target: string; readonly sid: number }
  NODE_RECORD_BROKEN: { readonly path: string; readonly line: number; readonly reason: string }

  // multipath-tools
  MULTIPATHD_NOT_RUNNING: { readonly command: string }
  MULTIPATHD_TIMEOUT: { readonly command: string; readonly answer: string }
  MULTIPATHD_REFUSED: { readonly command: string; readonly answer: string }
  MAP_BUSY: { readonly map: string }

  // Xenstore
  XENSTORE_NOT_FOUND: { readonly path: string }
  XENSTORE_ACCESS_DENIED: { readonly path: string }
  XENSTORE_INVALID: { readonly path: string; readonly reason: string }
  XENSTORE_CONFLICT: { readonly path: string }
  XENSTORE_UNAVAILABLE: { readonly reason: string }

  // attachLun, detachLun
  /** A note of this library's own, damaged or of a later version. `reason` completes "PATH …". */
  JOURNAL_UNREADABLE: { readonly path: string; readonly reason: string }
  NO_PORTALS: { readonly target: string }
  NO_PATHS: { readonly target: string; readonly lun: number; readonly failures: readonly FailedStep[] }
  LUN_NOT_FOUND: { readonly target: string; readonly lun: number; readonly hctls: readonly string[] }
  LUN_MISMATCH: {
    readonly target: string
    readonly lun: number
    readonly what: 'wwid' | 'serial' | 'size'
    readonly expected: string
    readonly found: string
  }
  /** The array gives a LUN less than this host does. */
  LUN_SHRUNK: {
    readonly target: string
    readonly lun: number
    readonly sizeBytes: number
    readonly previousBytes: number
  }
  /** A disk that is to be written cannot be. */
  LUN_READ_ONLY: { readonly target: string; readonly lun: number; readonly device: string }
  MULTIPATH_REQUIRED: { readonly wwid: string; readonly reason: string }
  DEVICE_UNREADABLE: { readonly device: string; readonly reason: string }
  LUN_SHARED: {
    readonly target: string
    readonly lun: number
    /** Undefined for a volume that names itself nowhere. */
    readonly wwid: string | undefined
    /** Name of the other domain, or its number. */
    readonly domain: string
    /** Its backend: `backend/vbd/3/51712`. */
    readonly backend: string
  }
  /** A virtual disk is connected to another device already. Device numbers as xenstore has them: `fe:0`. */
  BACKEND_TAKEN: { readonly backend: string; readonly found: string; readonly expected: string }
  LUN_IN_USE: { readonly target: string; readonly lun: number; readonly users: readonly DeviceUser[] }
  ATTACH_NOT_UNDONE: { readonly target: string; readonly lun: number; readonly steps: readonly FailedStep[] }
  DETACH_INCOMPLETE: { readonly target: string; readonly lun: number; readonly steps: readonly FailedStep[] }

  // waitForBackend
  BACKEND_FAILED: {
    readonly domid: number
    /** `xvda` */
    readonly vdev: string
    readonly backendPath: string
    /** `error`, or `busy` where another domain has the device. */
    readonly status: string
    /** The script's own words, made fit to be printed: they may be a driver domain's. */
    readonly reason: string
  }
  BACKEND_GONE: {
    readonly domid: number
    readonly vdev: string
    /** Where it was, if it was seen. */
    readonly backendPath: string | undefined
    readonly reason: string
  }

  // The command line's installation
  XAPI_HOST: { readonly path: string }
  /** Of no file of ours, or diverted by somebody else. */
  FOREIGN_FILE: { readonly path: string; readonly reason: string }
  BUNDLE_MISSING: { readonly path: string }
  INSTALL_INCOMPLETE: {
    /** What had been done by then, in order. */
    readonly done: readonly string[]
    readonly failed: FailedStep
  }
}
