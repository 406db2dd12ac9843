/** multipathd's own words for the state of a path. */
export interface RawPathState {
  readonly dm: string
  readonly checker: string
  readonly device: string
}

/** The state of a path, seen from three sides. Words this library does not know read `unknown`; `raw` keeps them. */
export interface PathState {
  /** Whether device-mapper uses it. */
  readonly dmState: 'active' | 'failed' | 'unknown'
  /** What multipathd's last check found. It lags behind the iSCSI session by up to 20 s. */
  readonly checkerState: CheckerState | 'unknown'
  /** What the kernel says of the SCSI device. */
  readonly deviceState: 'running' | 'offline' | 'unknown'
  readonly raw: RawPathState
}

// multipath-tools libmultipath/print.c, snprint_chk_state()
const CHECKER_STATES = [
  'ready',
  'faulty',
  'shaky',
  'ghost',
  'i/o pending',
  'i/o timeout',
  'delayed',
  'disconnected',
] as const
const DM_STATES = ['active', 'failed'] as const
const DEVICE_STATES = ['running', 'offline'] as const

/** What a path checker can find. */
export type CheckerState = (typeof CHECKER_STATES)[number]

/** Understands multipathd's words. */
export function readPathState(raw: RawPathState): PathState {
  return {
    dmState: DM_STATES.find(word => word === raw.dm) ?? 'unknown',
    checkerState: CHECKER_STATES.find(word => word === raw.checker) ?? 'unknown',
    deviceState: DEVICE_STATES.find(word => word === raw.device) ?? 'unknown',
    raw,
  }
}

/** The word, unless it is one of multipathd's for "I do not know". */
export function known(word: string | undefined): string | undefined {
  return word === undefined || /^(?:|##|-|\[?undef\]?|\[orphan\])$/.test(word) ? undefined : word
}
