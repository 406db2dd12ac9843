import type { CommandResult } from '../host/command.ts'

/** One recorded command: its argv as one line, and what the process left behind. */
export interface Recording extends CommandResult {
  readonly command: string
}

const NO_NEWLINE = '\\ no newline at end'

/**
 * Reads a cassette: for each command `$ argv`, `# exit N`, then `--- stdout` and `--- stderr` where there was any.
 * Lines before the first `$` are notes: date, tool versions.
 */
export function parseCassette(text: string): readonly Recording[] {
  return text
    .split(/^(?=\$ )/m)
    .filter(block => block.startsWith('$ '))
    .map(block => ({
      command: block.slice(2, block.indexOf('\n')),
      exitCode: Number(/^# exit (\d+)$/m.exec(block)?.[1] ?? Number.NaN),
      stdout: section(block, 'stdout'),
      stderr: section(block, 'stderr'),
    }))
}

function section(block: string, name: string): string {
  const [, body = ''] = new RegExp(`^--- ${name}\\n([\\s\\S]*?)(?=^--- stderr\\n|(?![\\s\\S]))`, 'm').exec(block) ?? []
  return body.endsWith(`${NO_NEWLINE}\n`) ? body.slice(0, -NO_NEWLINE.length - 2) : body
}

/** Writes a cassette that {@link parseCassette} reads back. */
export function formatCassette(notes: readonly string[], recordings: readonly Recording[]): string {
  const blocks = recordings.map(
    ({ command, exitCode, stdout, stderr }) =>
      `$ ${command}\n# exit ${exitCode}\n${formatSection('stdout', stdout)}${formatSection('stderr', stderr)}`
  )
  return [...notes.map(note => `# ${note}\n`), ...blocks].join('')
}

function formatSection(name: string, text: string): string {
  if (text === '') return ''
  return `--- ${name}\n${text}${text.endsWith('\n') ? '' : `\n${NO_NEWLINE}\n`}`
}
