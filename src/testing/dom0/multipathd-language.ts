import {
  formatConfig,
  formatMap,
  formatMaps,
  formatPaths,
  type MapView,
  type MultipathSettings,
  type PathView,
} from './multipathd-output.ts'

/** What multipathd can be told to do, and asked. Names of maps are aliases or WWIDs. */
export interface MultipathdActions {
  readonly settings: MultipathSettings
  readonly maps: () => readonly MapView[]
  readonly paths: () => readonly PathView[]
  /** False when it cannot make anything of the device. */
  readonly addPath: (disk: string) => boolean
  /** False when there is no such path. */
  readonly forgetPath: (disk: string) => boolean
  /** False when it knows no path of that WWID. */
  readonly addMap: (wwid: string) => boolean
  /** False when the map is in use, undefined when there is none. */
  readonly removeMap: (name: string) => boolean | undefined
  readonly resizeMap: (name: string) => void
  readonly setQueueing: (name: string, queueing: 'disabled' | 'configured') => void
}

type Order = readonly [pattern: RegExp, answer: (actions: MultipathdActions, word: string) => string]

const OK = 'ok\n'
const FAIL = 'fail\n'
const NOT_FOUND = refuse('device not found')

const ORDERS: readonly Order[] = [
  [/^show maps json$/, ({ maps }) => formatMaps(maps())],
  [/^show map (\S+) json$/, (actions, name) => onMap(actions, name, map => formatMap(map))],
  [/^show paths raw format (.+)$/, ({ paths }, format) => formatPaths(paths(), format)],
  [/^show daemon$/, () => 'pid 509 idle\n'],
  [/^show status$/, ({ paths }) => `path checker states:\n\npaths: ${paths().length}\nbusy: False\n`],
  [/^show config local$/, ({ settings }) => formatConfig(settings)],
  [/^add path (\S+)$/, ({ addPath }, disk) => (addPath(disk) ? OK : FAIL)],
  [/^del path (\S+)$/, ({ forgetPath }, disk) => (forgetPath(disk) ? OK : NOT_FOUND)],
  [/^add map (\S+)$/, ({ addMap }, wwid) => (addMap(wwid) ? OK : FAIL)],
  [
    /^del map (\S+)$/,
    (actions, name) =>
      onMap(actions, name, () => (actions.removeMap(name) === true ? OK : refuse('map or partition in use'))),
  ],
  [
    /^resize map (\S+)$/,
    (actions, name) =>
      onMap(actions, name, () => {
        actions.resizeMap(name)
        return OK
      }),
  ],
  [/^disablequeueing map (\S+)$/, (actions, name) => setQueueing(actions, name, 'disabled')],
  [/^restorequeueing map (\S+)$/, (actions, name) => setQueueing(actions, name, 'configured')],
]

/** The answer on multipathd's socket to one line; what it does not understand it answers with `fail`. */
export function answerOrder(text: string, actions: MultipathdActions): string {
  // Words with blanks come in double quotes.
  const line = text.replaceAll('"', '')
  for (const [pattern, answer] of ORDERS) {
    const match = pattern.exec(line)
    if (match !== null) return answer(actions, match[1] ?? '')
  }
  return FAIL
}

function onMap({ maps }: MultipathdActions, name: string, act: (map: MapView) => string): string {
  const map = maps().find(each => each.name === name || each.wwid === name)
  return map === undefined ? NOT_FOUND : act(map)
}

function setQueueing(actions: MultipathdActions, name: string, queueing: 'disabled' | 'configured'): string {
  return onMap(actions, name, () => {
    actions.setQueueing(name, queueing)
    return OK
  })
}

// Since 0.9.8 the daemon puts "fail" in front of the reason.
function refuse(reason: string): string {
  return `${FAIL}${reason}\n`
}
