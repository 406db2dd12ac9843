import { LunError } from '../core/error.ts'
import type { Wwid } from '../core/wwid.ts'
import { type Command, type CommandResult, failure } from '../host/command.ts'
import { type Answer, readAnswer, readListing, refused } from './answer.ts'
import { type MultipathConfig, parseConfig } from './config.parse.ts'
import { decodeMaps, decodeOneMap, type MultipathMap } from './maps.decode.ts'
import { type KnownPath, PATHS_FORMAT, parsePaths } from './paths.parse.ts'

/** What multipathd does at the moment. */
export interface DaemonStatus {
  readonly paths: number
  /** Whether udev events wait to be handled. */
  readonly isBusy: boolean
}

/** `unclear` is `fail`, all that multipathd before 0.9.8 says of a missing map and of one in use. */
export type FlushOutcome = 'flushed' | 'absent' | 'unclear'

// "map" and "path" take a name, alias or WWID each; every name was checked before it gets here.

export function showMaps(): Command<readonly MultipathMap[]> {
  return listing(['show', 'maps', 'json'], decodeMaps)
}

/** `undefined` when there is no such map, `unclear` for a plain `fail`. */
export function showMap(name: string): Command<MultipathMap | 'unclear' | undefined> {
  return daemon(['show', 'map', name, 'json'], (answer, no) => {
    if (answer.word === NOT_FOUND) return undefined
    if (answer.word === 'fail') return 'unclear'
    return answer.hasFailed ? no() : decodeOneMap(answer.text)
  })
}

export function showPaths(): Command<readonly KnownPath[]> {
  return listing(['show', 'paths', 'raw', 'format', PATHS_FORMAT], parsePaths)
}

/** The configuration without the built-in entries of devices that are not here: 150 lines instead of 1100. */
export function showConfig(): Command<MultipathConfig> {
  return listing(['show', 'config', 'local'], parseConfig)
}

/** Its answer is not looked at: `pid 509 idle`. */
export function showDaemon(): Command<void> {
  return listing(['show', 'daemon'], () => undefined)
}

/** multipath-tools libmultipath/print.c, snprint_status(). */
export function showStatus(): Command<DaemonStatus> {
  return listing(['show', 'status'], text => {
    const paths = /^paths: (\d{1,9})$/m.exec(text)?.[1]
    const busy = /^busy: (True|False)$/m.exec(text)?.[1]
    if (paths !== undefined && busy !== undefined) return { paths: Number(paths), isBusy: busy === 'True' }
    const details = { tool: 'multipathd', line: 1, text: text.slice(0, 200) }
    throw new LunError('UNEXPECTED_OUTPUT', 'multipathd show status does not say whether it is busy', details)
  })
}

export function addPath(device: string): Command<void> {
  return order(['add', 'path', device])
}

export function addMap(wwid: Wwid): Command<void> {
  return order(['add', 'map', wwid])
}

export function resizeMap(name: string): Command<void> {
  return order(['resize', 'map', name])
}

export function disableQueueing(name: string): Command<void> {
  return order(['disablequeueing', 'map', name])
}

export function restoreQueueing(name: string): Command<void> {
  return order(['restorequeueing', 'map', name])
}

/** `delayed` and the reload error mean that the path is forgotten all the same: multipathd/cli_handlers.c. */
export function delPath(device: string): Command<'removed' | 'delayed' | 'absent' | 'unclear'> {
  return daemon(['del', 'path', device], ({ word }, no) => {
    if (word === 'ok' || word === 'map reload error. removed') return 'removed'
    if (word === 'delayed') return 'delayed'
    if (word === NOT_FOUND) return 'absent'
    return word === 'fail' ? 'unclear' : no()
  })
}

/** Removes a map. `delayed` (`deferred_remove yes`) means that it goes once it is closed: it is in use. */
export function delMap(name: string): Command<FlushOutcome> {
  return daemon(['del', 'map', name], ({ word }, no) => {
    if (word === 'ok') return 'flushed'
    if (word === NOT_FOUND) return 'absent'
    if (word === IN_USE || word === 'delayed') throw mapBusy(name)
    return word === 'fail' ? 'unclear' : no()
  })
}

/** Removes a map without multipathd. Without the daemon exit 1 has no words: captures, lab/README "Behaviour found". */
export function flushMap(name: string): Command<FlushOutcome> {
  return {
    file: 'multipath',
    args: ['-f', name],
    decode: ({ exitCode, stdout }) => {
      const word = stdout.trim()
      if (exitCode === 0) return 'flushed'
      if (word === NOT_FOUND) return 'absent'
      if (word === IN_USE) throw mapBusy(name)
      return 'unclear'
    },
  }
}

export function mapBusy(map: string): LunError<'MAP_BUSY'> {
  return new LunError('MAP_BUSY', `the multipath map ${map} or a partition of it is in use`, { map })
}

/** Puts the WWID of a device into the wwids file; answers the WWID. */
export function addWwid(device: string): Command<string> {
  return multipath(['-a', `/dev/${device}`], ({ exitCode, stdout }) =>
    exitCode === 0 ? /^wwid '(.+)' added$/m.exec(stdout)?.[1] : undefined
  )
}

export function removeWwid(wwid: Wwid): Command<'removed' | 'absent'> {
  return multipath(['-w', wwid], ({ stdout }) => {
    if (stdout.includes(`wwid '${wwid}' removed`)) return 'removed'
    return stdout.includes(`wwid '${wwid}' not in wwids file`) ? 'absent' : undefined
  })
}

const NOT_FOUND = 'device not found'
const IN_USE = 'map or partition in use'

function daemon<T>(args: readonly string[], decode: (answer: Answer, no: () => never) => T): Command<T> {
  const words = { file: 'multipathd', args }
  return {
    ...words,
    decode: result => {
      const answer = readAnswer(words, result)
      return decode(answer, () => {
        throw refused(words, answer)
      })
    },
  }
}

function order(args: readonly string[]): Command<void> {
  return daemon(args, ({ word }, no) => (word === 'ok' ? undefined : no()))
}

function listing<T>(args: readonly string[], read: (text: string) => T): Command<T> {
  const words = { file: 'multipathd', args }
  return { ...words, decode: result => read(readListing(words, result)) }
}

function multipath<T>(args: readonly string[], read: (result: CommandResult) => T | undefined): Command<T> {
  const words = { file: 'multipath', args }
  return {
    ...words,
    decode: result => {
      const answer = read(result)
      if (answer !== undefined) return answer
      const details = failure(words, result)
      throw new LunError('COMMAND_FAILED', `${details.command} failed: ${details.stderr}`, details)
    },
  }
}
