import { LunError } from '../core/error.ts'

const SHOWN_CHARS = 200

/** The lines of a text; a last one without line break counts, an empty last one does not. */
export function linesOf(text: string): readonly string[] {
  const lines = text.split('\n')
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

/**
 * The lines of a listing in which every line ends with a line break: without it the last one may be cut, and the start
 * of a name reads like a name.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT`
 */
export function wholeLinesOf(text: string, tool: string): readonly string[] {
  const lines = linesOf(text)
  if (text === '' || text.endsWith('\n')) return lines
  throw unexpected(tool, lines.length, lines.at(-1) ?? '', 'has no end')
}

/** The error for a line nobody expected. `line` counts from 1. */
export function unexpected(tool: string, line: number, text: string, reason: string): LunError<'UNEXPECTED_OUTPUT'> {
  const shown = text.slice(0, SHOWN_CHARS)
  const message = `${tool}: line ${line} ${reason}: ${JSON.stringify(shown)}`
  return new LunError('UNEXPECTED_OUTPUT', message, { tool, line, text: shown })
}
