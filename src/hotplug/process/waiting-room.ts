import { watch } from 'node:fs'

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
