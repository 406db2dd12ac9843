import type { Command } from '../host/command.ts'
import { iscsiadm, toolOf } from './iscsiadm-command.ts'
import { unexpected } from './lines.ts'

const TIMEOUT_MS = 10_000

/** `2.1.11`. Touches neither the database nor iscsid. */
export function showVersion(): Command<string> {
  const args = ['--version']
  return iscsiadm(args, {
    timeoutMs: TIMEOUT_MS,
    read: stdout =>
      /^iscsiadm version (\S{1,40})$/m.exec(stdout)?.[1] ?? fail(toolOf(args), stdout.split('\n', 1)[0] ?? ''),
  })
}

function fail(tool: string, line: string): never {
  throw unexpected(tool, 1, line, 'says no version')
}
