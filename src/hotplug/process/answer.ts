import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { startIn } from '../../host/process-id.ts'
import type { Launcher } from '../room.ts'
import type { Answer } from '../server.ts'

// Of a launcher: see cli/install/launcher-ask.ts.
const ANSWER_FD = 3

/**
 * Opens the pipe that a launcher has as its descriptor 3, both ways, so that neither opening nor writing waits for its
 * reader, who learns of our end. Undefined where the launcher is gone.
 *
 * Opening for writing has effects of its own: /dev/watchdog starts to count. So nothing is opened that is no pipe, nor
 * anything of another process: the folder in /proc that is open here stays that of the process it was opened for, and is
 * empty when that has ended, whoever has its number then.
 */
export function openAnswer({ pid, start }: Launcher): Answer | undefined {
  let folder: number | undefined
  try {
    folder = openSync(`/proc/${pid}`, constants.O_RDONLY | constants.O_DIRECTORY)
    const launcher = `/proc/self/fd/${folder}`
    const path = `${launcher}/fd/${ANSWER_FD}`
    if (startIn(readFileSync(`${launcher}/stat`, 'latin1')) !== start || !statSync(path).isFIFO()) return undefined
    const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    return {
      say: line => void writeSync(descriptor, `${line}\n`),
      close: () => closeSync(descriptor),
    }
  } catch {
    // Gone meanwhile.
    return undefined
  } finally {
    if (folder !== undefined) closeSync(folder)
  }
}
