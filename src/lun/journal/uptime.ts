import type { Files } from '../../host/files.ts'

const SECOND_MS = 1000

/** The one clock that all processes of a host share and that never jumps. */
export async function uptimeMs(files: Files): Promise<number> {
  return Number.parseFloat((await files.read('/proc/uptime')) ?? '0') * SECOND_MS
}
