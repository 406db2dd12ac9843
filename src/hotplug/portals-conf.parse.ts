import { LunError } from '../core/error.ts'

const ASSIGNMENT = /^\s*(?:(?:declare|typeset|local|readonly|export)(?:\s+-\w+)*\s+)?PORTALS(?:\[\d*\])?(\+?)=/
const WORD = /^(?:'([^']*)'|"([^"]*)"|([^\s'"()#;&|<>]+))/
const EVALUATED = /[$`\\*?~{}!]/
const MAX_PORTALS = 64

/**
 * The portals of a `block-iscsi.conf`, a piece of bash that older scripts executed: `PORTALS=(10.0.1.1 10.0.2.1)`, over
 * as many lines as one likes, with quotes and comments; `PORTALS="10.0.1.1 10.0.2.1"`; `PORTALS[1]=…`; `PORTALS+=(…)`.
 * Nothing is executed: what bash would have to evaluate is an error. Everything else in the file is passed over.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT` with the line
 */
export function parsePortalsConf(text: string): readonly string[] {
  const portals: string[] = []
  const lines = text.split('\n')
  for (let n = 0; n < lines.length; n++) {
    const [head, plus] = ASSIGNMENT.exec(lines[n] ?? '') ?? []
    if (head === undefined) continue
    const isElement = head.includes('[')
    const list = readValue(lines, n, head.length)
    if (plus === '' && !isElement) portals.length = 0
    portals.push(...list.words)
    n = list.line
  }
  if (portals.length > MAX_PORTALS) throw unexpected(lines.length, `more than ${MAX_PORTALS} portals`)
  return portals
}

/** The words behind the `=`, and the line of the last one. */
function readValue(
  lines: readonly string[],
  first: number,
  at: number
): { readonly words: readonly string[]; readonly line: number } {
  const words: string[] = []
  const start = (lines[first] ?? '').slice(at)
  const isArray = start.startsWith('(')
  let rest = isArray ? start.slice(1) : start
  for (let n = first; ; ) {
    rest = rest.trimStart()
    if (isArray && rest.startsWith(')')) return { words, line: n }
    if (rest === '' || rest.startsWith('#') || (!isArray && rest.startsWith(';'))) {
      if (!isArray) return { words, line: n }
      n += 1
      if (n >= lines.length) throw unexpected(first, 'the list has no end')
      rest = lines[n] ?? ''
      continue
    }
    const [word, single, double, bare] = WORD.exec(rest) ?? []
    if (word === undefined) throw unexpected(n, rest)
    const value = single ?? double ?? bare ?? ''
    if (single === undefined && EVALUATED.test(value)) throw unexpected(n, `${word} would have to be evaluated`)
    words.push(...value.split(/\s+/).filter(part => part !== ''))
    rest = rest.slice(word.length)
    // Behind a plain word comes another command, of which we want to know nothing.
    if (!isArray) return { words, line: n }
  }
}

function unexpected(line: number, text: string): LunError<'UNEXPECTED_OUTPUT'> {
  const shown = text.slice(0, 100)
  return new LunError('UNEXPECTED_OUTPUT', `block-iscsi.conf: line ${line + 1}: ${shown}`, {
    tool: 'block-iscsi.conf',
    line: line + 1,
    text: shown,
  })
}
