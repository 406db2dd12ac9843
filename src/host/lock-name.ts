import { createHash } from 'node:crypto'

const MAX_NAME_BYTES = 255
const SHOWN_CHARS = 100

/** A lock's name as that of a file; one that would be too long is cut, and told apart by its hash. No name holds a plus as it is. */
export function lockFileName(name: string): string {
  const encoded = encodeURIComponent(name)
  if (encoded.length <= MAX_NAME_BYTES) return encoded
  return `${encoded.slice(0, SHOWN_CHARS)}+${createHash('sha256').update(name).digest('hex')}`
}
