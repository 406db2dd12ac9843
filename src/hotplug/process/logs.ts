import type { ChildProcess } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { oneLine } from '../../core/printable.ts'
import { startDetached } from './detached.ts'

const NAME = 'block-xen-lun'
const XEN_LOG = '/var/log/xen/xen-hotplug.log'

/** One line, whatever is in it: who reads a log goes by its lines, and some do it in a terminal. */
export function logEntry(operationId: string, text: string): string {
  return `[${operationId}] ${oneLine(text)}\n`
}

/** Adds a line to the log of Xen's hotplug scripts. A host without its folder has a reason for it. */
export function appendLog(operationId: string, line: string): void {
  try {
    appendFileSync(XEN_LOG, `${new Date().toISOString()} ${NAME}${logEntry(operationId, line)}`)
  } catch {
    // Nothing depends on the log.
  }
}

export interface Syslog {
  tell(operationId: string, line: string, isError: boolean): void
}

// RFC 5424: facility daemon, severities informational and error
const INFO = '<30>'
const ERROR = '<27>'

/**
 * Node cannot send datagrams to /dev/log. util-linux's `logger` can: one process for all lines, started with the first one,
 * and nobody waits for it.
 */
export function createSyslog(): Syslog {
  let logger: ChildProcess | undefined
  const start = (): ChildProcess => {
    const started = startDetached('logger', ['--tag', NAME, '--prio-prefix'], { stdin: 'pipe' })
    // Nothing depends on syslog either.
    started.on('error', () => {})
    started.stdin?.on('error', () => {})
    return started
  }
  return {
    tell: (operationId, line, isError) => {
      logger ??= start()
      logger.stdin?.write(`${isError ? ERROR : INFO}${logEntry(operationId, line)}`)
    },
  }
}
