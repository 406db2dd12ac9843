import { setTimeout as delay } from 'node:timers/promises'
import { readBeat } from '../world/beats.ts'

/** How a guest wrote while it was watched. */
export interface BeatHistory {
  readonly beats: number
  /** The longest time between two beats. */
  readonly longestGapMs: number
}

export interface BeatWatch {
  startWatch(volume: string): Promise<void>
  stopWatch(): Promise<BeatHistory>
}

const everyMs = 50

/** Looks at the beat on a volume, where it is stored, again and again. One at a time. */
interface Watching {
  readonly ended: Promise<BeatHistory>
  isOver: boolean
}

const watch = async (volume: string, watching: { readonly isOver: boolean }): Promise<BeatHistory> => {
  const first = await readBeat(volume)
  let last = first
  let lastMs = performance.now()
  let longestGapMs = 0
  while (!watching.isOver) {
    await delay(everyMs)
    const beat = await readBeat(volume)
    const nowMs = performance.now()
    // A gap that has not ended counts, too.
    longestGapMs = Math.max(longestGapMs, Math.round(nowMs - lastMs))
    if (beat === last) continue
    last = beat
    lastMs = nowMs
  }
  return { beats: last - first, longestGapMs }
}

/** Looks at the beat on a volume, where it is stored, again and again. */
export const createBeatWatch = (): BeatWatch => {
  let current: Watching | undefined
  const stop = async (): Promise<BeatHistory> => {
    if (current === undefined) throw new Error('nothing is watched')
    const { ended } = current
    current.isOver = true
    current = undefined
    return await ended
  }
  return {
    startWatch: async volume => {
      // One that a failed scenario has left.
      if (current !== undefined) await stop().catch(() => {})
      const state = { isOver: false }
      const ended = watch(volume, state)
      // Whoever stops it is told.
      ended.catch(() => {})
      current = Object.assign(state, { ended })
    },
    stopWatch: stop,
  }
}
