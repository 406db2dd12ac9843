import { unlessAborted } from '../flow/unless-aborted.ts'

/** A look at who uses devices. It ends in time, and says what it could not find out: unknown is not unused. */
export interface Inquiry {
  /** Waits for an answer that may never come, and notes meanwhile who owes it. */
  ask<T>(whom: string, answer: Promise<T>): Promise<T>
  /** Something could not be judged. */
  unknown(what: string): void
  /** Who has not answered yet, and what could not be judged. */
  open(): readonly string[]
}

/** An inquiry that ends, with its reason, when `signal` fires. */
export function createInquiry(signal: AbortSignal): Inquiry {
  const owing = new Map<object, string>()
  const unknown = new Set<string>()
  return {
    ask: async (whom, answer) => {
      const key = {}
      owing.set(key, whom)
      const result = await unlessAborted(answer, signal)
      owing.delete(key)
      return result
    },
    unknown: what => {
      unknown.add(what)
    },
    open: () => [...unknown, ...owing.values()],
  }
}
