import { LunError } from '../core/error.ts'
import type { CommandResult } from '../host/command.ts'

/** One recorded command: its argv as one line, and what the process left behind. */
export interface Recording extends CommandResult {
  readonly command: string
}

const STDOUT = '--- stdout'
const STDERR = '--- stderr'
const NO_NEWLINE = '\\ no newline at end'
const EXIT = /^# exit (\d{1,3})$/
// What a line of output must not look like; such a line gets one backslash more.
const MARK = /^\\*(?:\$ |--- std(?:out|err)$)|^\\+ no newline at end$/
const MARK_IN_OUTPUT = /^\\+(?:\$ |--- std(?:out|err)$)|^\\{2,} no newline at end$/

/**
 * Reads a cassette: for each command `$ argv`, `# exit N`, then `--- stdout` and `--- stderr` where there was any.
 * Lines before the first `$` are notes: date, tool versions.
 *
 * @throws `LunError` `UNEXPECTED_OUTPUT` for a damaged one
 */
export function parseCassette(text: string): readonly Recording[] {
  const lines = text.split('\n')
  const rest = lines.pop() ?? ''
  if (rest !== '') throw damaged(lines.length + 1, rest)
  const starts = lines.flatMap((line, n) => (line.startsWith('$ ') ? [n] : []))
  return starts.map((start, n) => readRecording(lines.slice(start, starts[n + 1]), start + 1))
}

function readRecording([first = '', second = '', ...rest]: readonly string[], line: number): Recording {
  const exit = EXIT.exec(second)?.[1]
  if (first === '$ ' || exit === undefined) throw damaged(line + 1, second)
  const border = rest.indexOf(STDERR)
  const at = border < 0 ? rest.length : border
  return {
    command: first.slice(2),
    exitCode: Number(exit),
    stdout: readSection(rest.slice(0, at), STDOUT, line + 2),
    stderr: readSection(rest.slice(at), STDERR, line + 2 + at),
  }
}

function readSection([head, ...body]: readonly string[], name: string, line: number): string {
  if (head === undefined) return ''
  if (head !== name || body.length === 0) throw damaged(line, head)
  const isWhole = body.at(-1) !== NO_NEWLINE
  const output = isWhole ? body : body.slice(0, -1)
  const wrong = output.findIndex(text => MARK.test(text) && !MARK_IN_OUTPUT.test(text))
  if (wrong >= 0) throw damaged(line + 1 + wrong, output[wrong] ?? '')
  const text = output.map(text => (MARK_IN_OUTPUT.test(text) ? text.slice(1) : text)).join('\n')
  return isWhole ? `${text}\n` : text
}

function damaged(line: number, text: string): LunError<'UNEXPECTED_OUTPUT'> {
  const details = { tool: 'cassette', line, text: text.slice(0, 200) }
  return new LunError('UNEXPECTED_OUTPUT', `cassette: line ${line} is not what a recording has there`, details)
}

/** Writes a cassette that {@link parseCassette} reads back. */
export function formatCassette(notes: readonly string[], recordings: readonly Recording[]): string {
  const blocks = recordings.map(
    ({ command, exitCode, stdout, stderr }) =>
      `$ ${command}\n# exit ${exitCode}\n${formatSection(STDOUT, stdout)}${formatSection(STDERR, stderr)}`
  )
  return [...notes.map(note => `# ${note}\n`), ...blocks].join('')
}

function formatSection(name: string, text: string): string {
  if (text === '') return ''
  const body = text
    .split('\n')
    .map(line => (MARK.test(line) ? `\\${line}` : line))
    .join('\n')
  return `${name}\n${body}${text.endsWith('\n') ? '' : `\n${NO_NEWLINE}\n`}`
}
