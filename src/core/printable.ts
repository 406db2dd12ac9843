const MAX_CHARS = 256

/**
 * Text of somebody who is not trusted, fit to be printed in a line: without control and format characters, line ends, and
 * what has no meaning, and not long.
 */
export function printable(text: string, maxChars: number = MAX_CHARS): string {
  const line = text
    .slice(0, 4 * maxChars)
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  const chars = Array.from(line)
  return chars.length <= maxChars ? line : `${chars.slice(0, maxChars - 1).join('')}…`
}

/**
 * Any text as one line that a terminal or a log shows and does not obey: without control and format characters and line
 * ends. Everything else stays, columns too.
 */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trimEnd()
}
