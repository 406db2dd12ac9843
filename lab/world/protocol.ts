import type { AttachRequest, LunEvent } from 'xen-lun'

// What the programs in `lab/programs` read and print: one JSON value per line.

/** The first line each program prints: from now on it reacts at once. */
export interface ReadyLine {
  readonly type: 'ready'
}

/** The last line of a program that did not manage what it was asked to do. */
export interface FailedLine {
  readonly type: 'failed'
  readonly error: string
}

/** What `attacher` is asked to do; its argument. */
export interface AttacherJob {
  readonly request: AttachRequest
  readonly owner: string
}

/** What starts `attacher`, on its standard input. */
export interface AttacherStart {
  /** Number of the event at which it kills itself; none, if left out. */
  readonly lastEvent?: number
}

export type AttacherLine =
  | ReadyLine
  | FailedLine
  | { readonly type: 'event'; readonly label: string }
  | { readonly type: 'attached' }

/** What `rounds` is asked to do; its argument. */
export interface RoundsJob {
  readonly request: AttachRequest
  readonly owner: string
  readonly rounds: number
  /** What the volume has at `markerOffset`. */
  readonly marker: string
}

export const markerOffset = 4 << 20

export type RoundsLine =
  | ReadyLine
  | FailedLine
  | {
      readonly type: 'round'
      readonly attachMs: number
      readonly detachMs: number
      /** A session was there already, of the other LUN. */
      readonly isShared: boolean
    }

/** What `timing` is asked to do; its argument. */
export interface TimingJob {
  readonly request: AttachRequest
  readonly owner: string
}

/** How long each step took, by operation and step, as `detach flush`. */
export type StepTimes = Readonly<Record<string, number>>

export type TimingLine =
  | ReadyLine
  | FailedLine
  | { readonly type: 'round'; readonly attachMs: number; readonly detachMs: number; readonly stepsMs: StepTimes }

/** Which event this is, for people. */
export const labelOf = (event: LunEvent): string => {
  if (event.type === 'path') {
    const { portal, state, hctl, disk } = event.path
    return `path ${portal} ${state}${hctl === undefined ? '' : ` ${hctl}`}${disk === undefined ? '' : ` ${disk}`}`
  }
  return 'message' in event ? `${event.type} ${event.message}` : `${event.type} ${event.step}`
}

/** One thing that `lock-attacker` tries, as a user who is nobody. */
export type Attempt =
  | { readonly kind: 'mkdir' | 'mkfifo' | 'unlink'; readonly path: string }
  | { readonly kind: 'symlink' | 'write'; readonly path: string; readonly text: string }

export type LockAttackerLine =
  | ReadyLine
  | FailedLine
  /** How each attempt went: `done`, or the code of its error. */
  | { readonly type: 'tried'; readonly outcomes: readonly string[] }
