import { integer } from '../core/check.ts'
import type { Files } from '../host/files.ts'
import { parseConfig } from './config-file.ts'
import { readTrusted } from './trusted-file.ts'

/** What an administrator may set for all disks of a host, in `/etc/xen-lun.json`. */
export interface ScriptSettings {
  /** All the script may take, undoing and reporting included. Default: see `budgetOf`. */
  readonly timeoutMs: number | undefined
  /** Paths without which a disk is not handed over, where its own configuration does not say. */
  readonly minPaths: number
  /** How long a disk that was removed stays attached for whoever adds it next. */
  readonly lingerMs: number
  /** How long missing paths are tried after the script has ended. */
  readonly lateMs: number
}

const SETTINGS_FILE = '/etc/xen-lun.json'

const KNOWN = ['timeoutMs', 'minPaths', 'lingerMs', 'lateMs']
const MIN_TIMEOUT_MS = 2000
// libxl kills the script after 40 s: LIBXL_HOTPLUG_TIMEOUT in tools/libs/light/libxl_internal.h
const MAX_TIMEOUT_MS = 38_000
const MAX_PATHS = 64
const HOUR_MS = 3_600_000

export const DEFAULT_SETTINGS: ScriptSettings = { timeoutMs: undefined, minPaths: 1, lingerMs: 0, lateMs: 120_000 }

/** @throws {@link LunError} `INVALID_INPUT` naming the setting, or the file where it may be another's */
export async function readSettings(files: Files): Promise<ScriptSettings> {
  const text = await readTrusted(files, SETTINGS_FILE)
  if (text === undefined) return DEFAULT_SETTINGS
  const given = parseConfig(text, SETTINGS_FILE, KNOWN)
  const { timeoutMs, minPaths, lingerMs, lateMs } = { ...DEFAULT_SETTINGS, ...given }
  return {
    timeoutMs: timeoutMs === undefined ? undefined : integer(timeoutMs, 'timeoutMs', MIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
    minPaths: integer(minPaths, 'minPaths', 1, MAX_PATHS),
    lingerMs: integer(lingerMs, 'lingerMs', 0, HOUR_MS),
    lateMs: integer(lateMs, 'lateMs', 0, HOUR_MS),
  }
}
