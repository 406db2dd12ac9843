import { type Command, describe } from '../host/command.ts'
import { decideExit, type ExitDecisions, type ExitSubject, exitError } from './exit.ts'

/**
 * A stale database lock keeps iscsiadm waiting 30 s, twice in an update (measured: 61 s with 2.1.11); then it answers
 * by itself. It must not be killed before: a killed holder of the lock leaves it behind for everybody, and SIGTERM is
 * no better than SIGKILL, iscsiadm catches neither.
 */
export const DB_TIMEOUT_MS = 90_000

/** The time between SIGTERM and SIGKILL. */
export const KILL_GRACE_MS = 10_000

/** What makes an iscsiadm command, beside its arguments. */
export interface IscsiadmSpec<T> extends ExitDecisions<T>, ExitSubject {
  /** Default {@link DB_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined
  /** Whether exit 0 is to be believed: some failures are told in words only. Default: yes. */
  readonly isDone?: (stdout: string) => boolean
  /** Reads stdout after exit 0. */
  readonly read: (stdout: string) => T
}

export function iscsiadm<T>(args: readonly string[], spec: IscsiadmSpec<T>): Command<T> {
  const words = { file: 'iscsiadm', args }
  return {
    ...words,
    timeoutMs: spec.timeoutMs ?? DB_TIMEOUT_MS,
    killGraceMs: KILL_GRACE_MS,
    decode: result => {
      const decided = decideExit(words, result, spec, spec)
      if (decided !== undefined) return decided.answer
      if (spec.isDone?.(result.stdout) === false) throw exitError('ISCSI_FAILED', words, result, spec)
      return spec.read(result.stdout)
    },
  }
}

/** For errors of readers: which command said it. */
export function toolOf(args: readonly string[]): string {
  return describe({ file: 'iscsiadm', args })
}
