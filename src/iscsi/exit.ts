import { LunError } from '../core/error.ts'
import type { Iqn } from '../core/iqn.ts'
import { formatPortal, type Portal } from '../core/portal.ts'
import { type Command, type CommandResult, failure } from '../host/command.ts'

const SAID_CHARS = 400

/** What iscsiadm's exit codes are called here. */
export type IscsiExitName = (typeof EXITS)[number]['name']

/** The errors an exit code can mean. */
export type IscsiErrorCode =
  | 'ISCSI_FAILED'
  | 'ISCSID_NOT_RUNNING'
  | 'ISCSI_DB_BUSY'
  | 'ISCSI_DB_BROKEN'
  | 'ISCSI_AUTH_FAILED'
  | 'ISCSI_LOGIN_REJECTED'
  | 'ISCSI_PORTAL_UNREACHABLE'
  | 'ISCSI_NO_RECORD'
  | 'ISCSI_LOGOUT_FAILED'

/**
 * Every exit code of iscsiadm, in order from 0, and what it means where a command says nothing else.
 * Source: open-iscsi include/iscsi_err.h and the table of messages in iscsiadm 2.1.11.
 */
const EXITS = [
  { name: 'success', error: undefined },
  { name: 'unknown', error: 'ISCSI_FAILED' }, // also a stray file where a folder of the database should be
  { name: 'sessionNotFound', error: 'ISCSI_FAILED' },
  { name: 'noMemory', error: 'ISCSI_FAILED' }, // also `-I` with an interface that does not exist
  { name: 'transport', error: 'ISCSI_PORTAL_UNREACHABLE' },
  { name: 'login', error: 'ISCSI_LOGIN_REJECTED' },
  { name: 'database', error: 'ISCSI_DB_BUSY' },
  { name: 'invalid', error: 'ISCSI_FAILED' },
  { name: 'transportTimeout', error: 'ISCSI_PORTAL_UNREACHABLE' }, // a refused connection as well
  { name: 'internal', error: 'ISCSI_FAILED' },
  { name: 'logout', error: 'ISCSI_FAILED' },
  { name: 'pduTimeout', error: 'ISCSI_PORTAL_UNREACHABLE' },
  { name: 'transportNotFound', error: 'ISCSI_FAILED' },
  { name: 'access', error: 'ISCSI_FAILED' },
  { name: 'transportCapabilities', error: 'ISCSI_FAILED' },
  { name: 'sessionExists', error: 'ISCSI_FAILED' },
  { name: 'invalidRequest', error: 'ISCSI_FAILED' },
  { name: 'isnsUnavailable', error: 'ISCSI_FAILED' },
  { name: 'iscsidCommunication', error: 'ISCSID_NOT_RUNNING' }, // it went away in mid-talk
  { name: 'fatalLogin', error: 'ISCSI_LOGIN_REJECTED' },
  { name: 'iscsidNotConnected', error: 'ISCSID_NOT_RUNNING' },
  { name: 'noObjectsFound', error: 'ISCSI_FAILED' },
  { name: 'sysfsLookup', error: 'ISCSI_FAILED' },
  { name: 'hostNotFound', error: 'ISCSI_FAILED' },
  { name: 'loginAuthFailed', error: 'ISCSI_AUTH_FAILED' },
  { name: 'isnsQuery', error: 'ISCSI_FAILED' },
  { name: 'isnsRegistration', error: 'ISCSI_FAILED' },
  { name: 'notSupported', error: 'ISCSI_FAILED' },
  { name: 'busy', error: 'ISCSI_FAILED' }, // logout with iscsid.safe_logout and a mounted device
  { name: 'again', error: 'ISCSI_FAILED' },
  { name: 'unknownDiscoveryType', error: 'ISCSI_FAILED' },
  { name: 'childTerminated', error: 'ISCSI_FAILED' },
  { name: 'sessionNotConnected', error: 'ISCSI_FAILED' },
  { name: 'requestTimeout', error: 'ISCSI_FAILED' },
] as const

/** `fatalLogin` for 19; `undefined` for a code open-iscsi 2.1.11 does not know. */
export function iscsiExitName(exitCode: number): IscsiExitName | undefined {
  return EXITS[exitCode]?.name
}

/** What a command decides about exit codes other than the table above. */
export interface ExitDecisions<T> {
  /** Codes that are an answer. */
  readonly answers?: Partial<Record<IscsiExitName, T>>
  /** Codes that are another error. */
  readonly errors?: Partial<Record<IscsiExitName, IscsiErrorCode>>
}

/** What the command is about, for its errors. */
export interface ExitSubject {
  readonly target?: Iqn | string
  readonly portal?: Portal
  readonly sid?: number
}

/** The answer an exit code stands for, or its error; `undefined` for success. */
export function decideExit<T>(
  command: Pick<Command<unknown>, 'file' | 'args'>,
  result: CommandResult,
  { answers = {}, errors = {} }: ExitDecisions<T>,
  subject: ExitSubject
): { readonly answer: T } | undefined {
  if (result.exitCode === 0) return undefined
  const exit = EXITS[result.exitCode]
  if (exit === undefined) throw exitError('ISCSI_FAILED', command, result, subject)
  const answer = answers[exit.name]
  if (answer !== undefined) return { answer }
  throw exitError(errors[exit.name] ?? exit.error ?? 'ISCSI_FAILED', command, result, subject)
}

/** The error `code` for an answer. */
export function exitError(
  code: IscsiErrorCode,
  command: Pick<Command<unknown>, 'file' | 'args'>,
  result: CommandResult,
  { target, portal, sid }: ExitSubject
): LunError {
  const details = failure(command, result)
  const exitName = iscsiExitName(result.exitCode) ?? 'unknown'
  const at = portal === undefined ? undefined : formatPortal(portal)
  const name = target ?? 'the discovery session'
  const where = at ?? 'a portal'
  const said = `${details.command}: exit ${result.exitCode} (${exitName}): ${onOneLine(details.stderr)}`
  switch (code) {
    case 'ISCSI_FAILED':
      return new LunError(code, said, { ...details, exitName })
    case 'ISCSID_NOT_RUNNING':
      return new LunError(code, `iscsid does not answer: ${said}`, details)
    case 'ISCSI_DB_BUSY':
      return new LunError(code, `the node database is locked or damaged: ${said}`, details)
    case 'ISCSI_DB_BROKEN':
      return new LunError(code, `a record of the node database is unreadable: ${said}`, details)
    case 'ISCSI_AUTH_FAILED':
      return new LunError(code, `${where} refused the credentials for ${name}`, { target: name, portal: at })
    case 'ISCSI_LOGIN_REJECTED': {
      const text = `${where} refused the login to ${name} (${exitName})`
      return new LunError(code, text, { target: name, portal: at, exitCode: result.exitCode })
    }
    case 'ISCSI_PORTAL_UNREACHABLE':
      return new LunError(code, `${where} did not answer for ${name} (${exitName})`, { target, portal: at, exitName })
    case 'ISCSI_NO_RECORD':
      return new LunError(code, `there is no node record for ${name} at ${where}`, { target: name, portal: at })
    case 'ISCSI_LOGOUT_FAILED':
      return new LunError(code, `session ${sid} of ${name} did not log out: ${said}`, { target: name, sid: sid ?? -1 })
  }
}

// iscsiadm says the same once for each record or portal.
function onOneLine(stderr: string): string {
  return [...new Set(stderr.split('\n'))].join('; ').slice(0, SAID_CHARS)
}
