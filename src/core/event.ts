import type { FailedStep } from './error-details.ts'
import type { PathOutcome } from './path-outcome.ts'

/** The stages of an operation, in the order they begin. */
export type Step =
  | 'portals'
  | 'records'
  | 'login'
  | 'paths'
  | 'device'
  | 'identity'
  | 'hand-over'
  | 'in-use'
  | 'flush'
  | 'delete'
  | 'logout'
  | 'forget'
  | 'undo'
  | 'rescan'
  | 'resize'

/** Which operation an event belongs to. `elapsedMs` counts from its start. */
export interface EventContext {
  readonly operation: 'attach' | 'detach' | 'resize' | 'verify' | 'reconcile'
  readonly target: string
  readonly lun: number
  readonly elapsedMs: number
}

/** What happens while an operation runs. More types may come: pass over those you do not know. */
export type LunEvent = EventContext &
  (
    | { readonly type: 'start' | 'end'; readonly step: Step }
    | { readonly type: 'path'; readonly path: PathOutcome }
    /** What an attach did is being taken back, and why. It rejects with that reason when it is through. */
    | { readonly type: 'failed'; readonly message: string }
    | { readonly type: 'warning'; readonly message: string; readonly failed?: FailedStep }
  )

/** Hears every event, synchronously. What it throws is dropped: an observer cannot break an operation. */
export type Observer = (event: LunEvent) => void
