import { type ErrorCode, isLunError } from '../core/error.ts'
import { Interrupted } from './io.ts'

/** Why a command failed, for people and for programs. */
export interface Problem {
  readonly code: string
  readonly message: string
  readonly details: unknown
  readonly hint: string | undefined
  readonly exitCode: number
}

const FAILED = 1
const WRONG_USAGE = 2

const HINTS: Readonly<Partial<Record<ErrorCode | 'EACCES' | 'EPERM' | 'USAGE', string>>> = {
  USAGE: 'xen-lun --help lists the commands, xen-lun COMMAND --help their options',
  EACCES: 'run it as root',
  EPERM: 'run it as root',
  COMMAND_NOT_FOUND: 'install the package it is in; xen-lun doctor says what a host needs',
  COMMAND_TIMEOUT: 'look for I/O that hangs: xen-lun doctor, dmesg',
  TIMEOUT: 'see what is waited for, or allow more time',
  LOCK_TIMEOUT: 'somebody else is at work: try again later',
  PATH_UNSAFE: 'somebody may want to mislead this host: find out who made it, then remove it',
  ISCSID_NOT_RUNNING: 'start it: systemctl start iscsid',
  MULTIPATHD_NOT_RUNNING: 'start it: systemctl start multipathd',
  XENSTORE_UNAVAILABLE: 'this has to run in dom0, as root, with xenstored running: xen-lun doctor',
  LUN_NOT_FOUND: 'xen-lun status lists what is attached',
  LUN_MISMATCH: 'stop whoever uses this disk, then compare the volumes on the array',
  LUN_SHRUNK: 'stop whoever uses this disk, then look at its size on the array',
  NO_PATHS: 'look at network and array; xen-lun status shows the paths',
  XAPI_HOST: 'use storage repositories there; --force-xapi installs all the same',
  FOREIGN_FILE: 'nothing was changed: look at it, move it away, and run this again',
  BUNDLE_MISSING: 'run the xen-lun of a package, or build it: npm run build',
  INSTALL_INCOMPLETE: 'mend what is named, and run this again',
}

/** What somebody asked for in a way that cannot be understood. */
export function usageProblem(message: string): Problem {
  return { code: 'USAGE', message, details: {}, hint: HINTS.USAGE, exitCode: WRONG_USAGE }
}

/** Says what went wrong by code; an error of the file system keeps the one it has. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Interrupted) {
    const { signal, message, exitCode } = error
    return { code: 'INTERRUPTED', message, details: { signal }, hint: undefined, exitCode }
  }
  if (isLunError(error)) {
    const { code, message, details } = error
    return { code, message, details, hint: HINTS[code], exitCode: code === 'INVALID_INPUT' ? WRONG_USAGE : FAILED }
  }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const { code } = error
    const hint = code === 'EACCES' || code === 'EPERM' ? HINTS[code] : undefined
    return { code, message, details: 'path' in error ? { path: error.path } : {}, hint, exitCode: FAILED }
  }
  return { code: 'UNEXPECTED', message, details: {}, hint: undefined, exitCode: FAILED }
}
