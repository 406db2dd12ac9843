import { isLunError } from '../../core/error.ts'

/** What a daemon answered, or why it did not: then nothing is known, not even that something is not there. */
export type Told<T> = { readonly answer: T } | { readonly problem: string }

/** Asks; only an abort and what is no error of ours are errors. */
export async function tell<T>(ask: () => Promise<T>, signal: AbortSignal | undefined): Promise<Told<T>> {
  try {
    return { answer: await ask() }
  } catch (error) {
    signal?.throwIfAborted()
    if (!isLunError(error)) throw error
    return { problem: error.message }
  }
}
