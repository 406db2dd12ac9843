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
