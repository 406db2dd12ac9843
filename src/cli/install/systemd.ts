import { LunError } from '../../core/error.ts'
import { type Command, failure } from '../../host/command.ts'
import type { Files } from '../../host/files.ts'
import { LAYOUT } from './layout.ts'

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
const SERVICE = nameOf(LAYOUT.service)
const TIMER = nameOf(LAYOUT.timer)

/** sd_booted(3) */
export async function isSystemdRunning(files: Files): Promise<boolean> {
  return (await files.stat('/run/systemd/system'))?.kind === 'directory'
}

/** The timer starts now, the service at the next boot. All of it may be repeated. */
export function enableUnits(): readonly Command<void>[] {
  return [systemctl('daemon-reload'), systemctl('enable', SERVICE), systemctl('enable', '--now', TIMER)]
}

/** While the units are still there. */
export function disableUnits(): readonly Command<void>[] {
  return [systemctl('disable', '--now', TIMER, SERVICE)]
}

/** When they are gone. */
export function forgetUnits(): readonly Command<void>[] {
  return [systemctl('daemon-reload')]
}

// systemctl(1): 0 done; anything else, LSB's codes among them, is a failure here.
function systemctl(...args: readonly string[]): Command<void> {
  const words = { file: 'systemctl', args, timeoutMs: 60_000 }
  return {
    ...words,
    decode: result => {
      if (result.exitCode === 0) return
      const details = failure(words, result)
      throw new LunError('COMMAND_FAILED', `${details.command} failed: ${details.stderr}`, details)
    },
  }
}
