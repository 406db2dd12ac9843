import type { LunEvent } from '../core/event.ts'
import type { Host } from '../host/host.ts'
import type { Xenstore } from '../xenstore/types.ts'
import type { LaterAction } from './action.ts'
import type { Budget } from './budget.ts'
import type { ScriptSettings } from './settings.ts'
import type { XenbusPath } from './xenbus-path.ts'

/** One run of the script for one disk, with all it may use. */
export interface Call {
  readonly host: Host
  readonly xenstore: Xenstore
  /** The disk's backend directory. */
  readonly backend: XenbusPath
  readonly settings: ScriptSettings
  readonly budget: Budget
  /** Fires when the script is told to end. */
  readonly signal: AbortSignal
  /** `/etc/xen/scripts`, or wherever the script was called from. */
  readonly scriptFolder: string
  readonly isDriverDomain: boolean
  readonly log: (line: string) => void
  readonly onEvent: (event: LunEvent) => void
  /** Has the same disk looked after when this call has ended: `complete`, `expire`. */
  readonly startLater: (action: LaterAction) => void
  readonly progress: Progress
}

/** How far a run has come, for the error of one that has to end. */
export interface Progress {
  /** What has failed, while it is being taken back. */
  readonly failed: string | undefined
  /** The step that began last. */
  readonly step: string | undefined
  /** Commands that have not ended. */
  readonly running: () => readonly string[]
  /** The last one that was cut short. */
  readonly cut: () => string | undefined
}

/** The keys of a backend directory the script uses: xen/include/public/io/blkif.h, and libxl_disk.c. */
export const KEYS = {
  params: 'params',
  mode: 'mode',
  physicalDevice: 'physical-device',
  physicalDevicePath: 'physical-device-path',
  status: 'hotplug-status',
  error: 'hotplug-error',
} as const

export function keyOf({ backend }: Pick<Call, 'backend'>, key: keyof typeof KEYS): string {
  return `${backend.path}/${KEYS[key]}`
}
