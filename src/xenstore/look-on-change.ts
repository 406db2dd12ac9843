import { isLunError } from '../core/error.ts'
import { type DeadlineOptions, withDeadline } from '../flow/deadline.ts'
import { unlessAborted } from '../flow/unless-aborted.ts'
import type { Clock } from '../host/clock.ts'
import type { Xenstore } from './types.ts'

/** Looks for something; `watch` names a path, besides those of the beginning, whose changes may bring it. */
export type Look<T> = (watch: (path: string) => void) => Promise<T | undefined>

// Several writes that belong together are seen at once, and nobody who writes all the time keeps us busy.
const PAUSE_MS = 20
// By commands, each look costs processes.
const BLIND_PAUSE_MS = 300
const PAUSE_PER_LOOK = 9

/**
 * Looks again after every change at or below `paths`, until `look` answers something. Where xenstore cannot be watched, it
 * looks from time to time.
 *
 * @throws {@link LunError} `TIMEOUT`; `XENSTORE_UNAVAILABLE` when xenstored is gone for good; what `look` throws
 */
export async function lookOnChange<T>(
  xenstore: Pick<Xenstore, 'watch'>,
  clock: Clock,
  { paths, ...deadline }: DeadlineOptions & { readonly paths: readonly string[] },
  look: Look<T>
): Promise<T> {
  return await withDeadline(clock, deadline, async stop => {
    const over = new AbortController()
    const bell = createBell()
    const watched = new Set<string>()
    let isBlind = false
    const follow = async (path: string): Promise<void> => {
      try {
        for await (const _ of xenstore.watch(path, { signal: over.signal })) bell.ring()
      } catch {
        isBlind = true
        bell.ring()
      }
    }
    const watch = (path: string): void => {
      if (watched.has(path) || over.signal.aborted) return
      watched.add(path)
      void follow(path)
    }
    try {
      for (const path of paths) watch(path)
      for (;;) {
        // The first event of a watch comes at once.
        if (!isBlind) await unlessAborted(bell.rung(), stop)
        const startedMs = clock.now()
        const seen = await unlessAborted(look(watch), stop).catch((error: unknown) => {
          // While it is watched, xenstored is looked for, and what it says when it is back is an event.
          if (isBlind || !isLunError(error, 'XENSTORE_UNAVAILABLE')) throw error
          return undefined
        })
        if (seen !== undefined) return seen
        const blindMs = Math.max(BLIND_PAUSE_MS, PAUSE_PER_LOOK * (clock.now() - startedMs))
        await clock.sleep(isBlind ? blindMs : PAUSE_MS, stop)
      }
    } finally {
      over.abort()
    }
  })
}

/** Whoever waits hears of every ring since the last time he did. */
function createBell(): { ring(): void; rung(): Promise<void> } {
  let hasRung = false
  let wake = (): void => {}
  return {
    ring: () => {
      hasRung = true
      wake()
    },
    rung: async () => {
      if (!hasRung) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      hasRung = false
    },
  }
}
