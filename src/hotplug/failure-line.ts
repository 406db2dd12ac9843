const MAX_BYTES = 256
const NAME = /(?:iqn|eui|naa)\.[a-z0-9.:_-]{40,}/gi
const KEPT = 16

/**
 * The text of a failure as xenstore's `hotplug-error` takes it: one line of at most 256 bytes, printable ASCII, with
 * the operation's id at its end, by which the log is searched. libxl prints it, and the guest can read it. Where it is too long
 * names of targets are shortened first: what went wrong stands at the end.
 */
export function failureLine(error: unknown, operationId: string): string {
  const text = error instanceof Error ? error.message : String(error)
  const end = ` [${operationId}]`
  const line = text.replaceAll(/[^\x20-\x7e]+/g, ' ').trim()
  const room = MAX_BYTES - end.length
  const fitting = line.length <= room ? line : line.replaceAll(NAME, shorten)
  return `${fitting.length <= room ? fitting : `${fitting.slice(0, room - 3)}...`}${end}`
}

function shorten(name: string): string {
  return `${name.slice(0, KEPT)}...${name.slice(-KEPT)}`
}
