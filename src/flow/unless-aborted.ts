import { onAbort } from './on-abort.ts'

/** What `work` comes to, or the reason of a signal that aborts before: then nobody waits for it any more, and it goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  let ignore = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    ignore = onAbort(signal, () => reject(signal.reason as Error))
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    ignore()
  }
}
