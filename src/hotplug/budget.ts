import { isOlder, readXenVersion } from '../doctor/xen-version.ts'
import type { Files } from '../host/files.ts'

/** How the time that the toolstack gives a script is divided. All from now on. */
export interface Budget {
  /** For attaching or detaching. */
  readonly workMs: number
  /** When the script stops waiting, for the taking back of what failed too, and reports. */
  readonly stopMs: number
  /** For reporting, at least. */
  readonly reportMs: number
}

// LIBXL_HOTPLUG_TIMEOUT of libxl is 40 s, and was 10 s before Xen 4.6. A driver domain's `remove` has 10 s before dom0
// gives up, libxl_device.c.
export const USUAL_MS = 32_000
const SHORT_MS = 8000
const LONG_SINCE = [4, 6, 0] as const
const MIN_WORK_MS = 500
const MIN_REPORT_MS = 500

/** All the time the script should take, where the settings do not say. */
export async function usualTimeout(files: Files, { isShort }: { readonly isShort: boolean }): Promise<number> {
  const version = await readXenVersion(files)
  return isShort || (version !== undefined && isOlder(version, LONG_SINCE)) ? SHORT_MS : USUAL_MS
}

/**
 * Divides `timeoutMs`, of which `spentMs` are gone: a sixteenth is for the report, an eighth for undoing:
 * what it does not suffice for is left to `remove`, which has a time of its own, or to `reconcile`.
 */
export function divide(timeoutMs: number, spentMs: number): Budget {
  const reportMs = Math.max(MIN_REPORT_MS, timeoutMs / 16)
  const stopMs = Math.round(Math.max(MIN_WORK_MS, timeoutMs - reportMs - spentMs))
  const workMs = Math.round(Math.max(MIN_WORK_MS, stopMs - timeoutMs / 8))
  return { workMs, stopMs, reportMs }
}
