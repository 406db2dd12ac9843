import { createHash } from 'node:crypto'

/** What tells a text again without holding it: salted, so that the same text leaves another trace each time. */
export function traceOf(text: string, salt: string = crypto.randomUUID()): string {
  return `${salt} ${createHash('sha256').update(`${salt} ${text}`).digest('hex')}`
}

/** Whether one of the traces is that of the text. */
export function isTraced(text: string, traces: readonly string[]): boolean {
  return traces.some(trace => trace === traceOf(text, trace.split(' ')[0]))
}
