import type { Clock, LunEvent, Observer, Step } from 'xen-lun'

/** Lines with the time that has passed on their left. */
export interface Timeline {
  say(text: string): void
  /** A figure: lines with no time of their own. */
  show(lines: readonly string[]): void
  /** Says what an operation is about to do, and which paths came of it. */
  readonly hear: Observer
}

const STAMP_CHARS = 8

const STEPS: Readonly<Record<Step, string>> = {
  portals: 'find the portals',
  records: 'make node records',
  login: 'log in to all portals at once',
  paths: 'wait for paths',
  device: 'check the map, read from it',
  identity: 'ask every path which volume it is',
  'hand-over': 'hand it over',
  'in-use': 'make sure nobody uses it',
  flush: 'flush the map',
  delete: 'delete the disks',
  logout: 'log out, remove node records',
  forget: 'remove its WWID',
  undo: 'take back what was done',
  rescan: 'ask every path for its size',
  resize: 'resize the map',
}

/** Counts from now. */
export function createTimeline(clock: Clock, print: (line: string) => void): Timeline {
  const startMs = clock.now()
  const say = (text: string): void => print(`${formatTime(clock.now() - startMs)}  ${text}`)
  return {
    say,
    show: lines => {
      for (const line of ['', ...lines.map(text => `${' '.repeat(STAMP_CHARS + 2)}${text}`), '']) print(line)
    },
    hear: event => {
      const text = describe(event)
      if (text !== undefined) say(`  ${text}`)
    },
  }
}

function describe(event: LunEvent): string | undefined {
  switch (event.type) {
    case 'start':
      return STEPS[event.step]
    case 'path': {
      const { portal, hctl, disk, state } = event.path
      return state === 'pending' ? undefined : `path ${portal} is ${state}: ${hctl ?? '-'} ${disk ?? '-'}`
    }
    case 'warning':
      return `warning: ${event.message}`
    default:
      return undefined
  }
}

function formatTime(ms: number): string {
  return (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(2)} s`).padStart(STAMP_CHARS)
}
