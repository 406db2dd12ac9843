/** `unknown`: it could not be looked at; the message says why. */
export type FindingLevel = 'error' | 'warning' | 'unknown' | 'ok'

/** What every check is called; docs/doctor.md explains each. */
export type CheckName =
  | 'open-iscsi'
  | 'iscsid'
  | 'database-lock'
  | 'record-broken'
  | 'record-startup'
  | 'record-scan'
  | 'journal'
  | 'iscsi-service'
  | 'multipathd'
  | 'multipath-conf'
  | 'find-multipaths'
  | 'user-friendly-names'
  | 'no-path-retry'
  | 'replacement-timeout'
  | 'xen-dom0'
  | 'xen-blkback'
  | 'xenstored'
  | 'hotplug-timeout'
  | 'block-sharing'
  | 'xapi'
  | 'lvm-filter'
  | 'lvm-scan-lvs'

/** One thing a check found. */
export interface Finding {
  readonly check: CheckName
  readonly level: FindingLevel
  /** What is so: one sentence, free of secrets. */
  readonly message: string
  /** What to do about it. */
  readonly advice?: string
  /** What it is about, where one check looks at several things: a file, a map, a device. */
  readonly subject?: string
}

/** A finding before it is known which check made it. */
export type Observation = Omit<Finding, 'check'>

export function ok(message: string): Observation {
  return { level: 'ok', message }
}

export function unknown(message: string): Observation {
  return { level: 'unknown', message }
}

export function warning(message: string, advice: string, subject?: string): Observation {
  return { level: 'warning', message, advice, ...(subject !== undefined && { subject }) }
}

export function error(message: string, advice: string, subject?: string): Observation {
  return { level: 'error', message, advice, ...(subject !== undefined && { subject }) }
}

/** What was found, or that there was nothing. */
export function orOk(found: readonly Observation[], message: string): readonly Observation[] {
  return found.length === 0 ? [ok(message)] : found
}
