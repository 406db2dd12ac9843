import type { PathOutcome } from '../../core/path-outcome.ts'
import type { DetachOptions } from '../detach.ts'
import type { Detachment } from '../detaching/detachment.ts'

/** An attached LUN: what it is, how its paths fared, and how to let go of it. */
export interface Attachment extends AsyncDisposable {
  /** `already-attached`: everything asked for was there, nothing was changed. */
  readonly outcome: 'attached' | 'already-attached'
  readonly target: string
  readonly lun: number
  /**
   * The device to use: `/dev/mapper/…`, or `/dev/sdb` without multipath. `/dev/dm-N`, with a warning, where udev has not named
   * the map after 2 s.
   */
  readonly device: string
  /** Number of that device, for a vbd's `physical-device`. */
  readonly deviceNumber: { readonly major: number; readonly minor: number }
  readonly sizeBytes: number
  /** The array, or this host's kernel, lets nobody write to it. */
  readonly isReadOnly: boolean
  /** Undefined for a LUN that names itself nowhere. */
  readonly wwid: string | undefined
  /** The multipath map; undefined without multipath. */
  readonly map: { readonly name: string; readonly dm: string } | undefined
  /** One outcome per portal and interface, as it was when the attach returned. */
  readonly paths: readonly PathOutcome[]
  /** Fewer paths were up than there are endpoints. */
  readonly isDegraded: boolean
  /** Resolves with every path's outcome when none is being tried any more. Never rejects. */
  allPaths(): Promise<readonly PathOutcome[]>
  /** Stops trying for missing paths, and waits until nothing of it runs any more. Those up stay. */
  stop(): Promise<void>
  /** {@link stop}, then `detachLun`. */
  detach(options?: DetachOptions): Promise<Detachment>
  /** Detaches what this call attached; an `already-attached` LUN stays. */
  [Symbol.asyncDispose](): Promise<void>
}
