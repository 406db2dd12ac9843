import { closeSync, constants, openSync, watch, writeSync } from 'node:fs'
import type { Launcher } from '../room.ts'
import type { Answer } from '../server.ts'

/** A function that resolves at the next change in a directory. */
export function watchFolder(folder: string): () => Promise<void> {
  let tell = (): void => {}
  let next = Promise.resolve()
  const renew = (): void => {
    next = new Promise(resolve => {
      tell = resolve
    })
  }
  renew()
  const watcher = watch(folder, () => {
    const told = tell
    renew()
    told()
  })
  // Whoever waits looks by himself, from time to time.
  watcher.on('error', () => {})
  return async () => await next
}

/**
 * Opens the pipe that a launcher has as its descriptor 3, both ways, so that neither opening nor writing waits for its
 * reader, who learns of our end.
 */
export function openAnswer({ pid }: Launcher): Answer | undefined {
  try {
    const descriptor = openSync(`/proc/${pid}/fd/3`, constants.O_RDWR | constants.O_NONBLOCK)
    return {
      say: line => void writeSync(descriptor, `${line}\n`),
      close: () => closeSync(descriptor),
    }
  } catch {
    // Gone, or a process that has its number now, with a descriptor of another kind.
    return undefined
  }
}
