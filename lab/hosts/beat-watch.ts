import { setTimeout as delay } from 'node:timers/promises'
import { readBeat } from '../world/beats.ts'

/** How a guest wrote while it was watched. */
export interface BeatHistory {
  readonly beats: number
  /** The longest time between two beats. */
  readonly longestGapMs: number
}

export interface BeatWatch {
  startWatch(volume: string): void
  stopWatch(): BeatHistory
}

const everyMs = 50

/** Looks at the beat on a volume, where it is stored, again and again. One at a time. */
export const createBeatWatch = (): BeatWatch => {
  let watching = { beats: 0, longestGapMs: 0, isOver: true }
  const watch = async (volume: string, state: typeof watching): Promise<void> => {
    let last = await readBeat(volume)
    let lastMs = performance.now()
    while (!state.isOver) {
      await delay(everyMs)
      const beat = await readBeat(volume)
      const nowMs = performance.now()
      // A gap that has not ended counts, too.
      state.longestGapMs = Math.max(state.longestGapMs, nowMs - lastMs)
      if (beat === last) continue
      state.beats += beat - last
      last = beat
      lastMs = nowMs
    }
  }
  return {
    startWatch: volume => {
      watching.isOver = true
      watching = { beats: 0, longestGapMs: 0, isOver: false }
      void watch(volume, watching)
    },
    stopWatch: () => {
      watching.isOver = true
      return { beats: watching.beats, longestGapMs: Math.round(watching.longestGapMs) }
    },
  }
}
