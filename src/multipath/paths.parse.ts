import { LunError } from '../core/error.ts'
import { type Hctl, readHctl } from '../core/hctl.ts'
import { known, type PathState, readPathState } from './path-state.ts'

/** A path as multipathd knows it, in a map or not. */
export interface KnownPath extends PathState {
  /** `sdb`. */
  readonly device: string
  /** `8:16`. */
  readonly deviceNumber: string
  /** Unknown for devices that are not SCSI. */
  readonly hctl: Hctl | undefined
  /** Unknown for a path multipathd could not identify. */
  readonly wwid: string | undefined
  /** The map it is in; none for an orphan: blacklisted, or no map wanted for it. */
  readonly map: string | undefined
}

/** For `show paths raw format`. Only the map's name, which is last, could hold a `|`: udev replaces it in WWIDs. */
export const PATHS_FORMAT = '%d|%i|%D|%t|%T|%o|%w|%m'

const LINE = /^\s*([^|\s][^|]*)\|([^|]*)\|\s*([^|\s][^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)$/

/** Reads `multipathd show paths raw format …`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parsePaths(text: string): readonly KnownPath[] {
  // An empty answer becomes `ok` (multipathd/uxlsnr.c, default_reply), so this is how no paths look.
  if (text.trim() === 'ok') return []
  const lines = text.split('\n')
  const rest = lines.pop() ?? '' // empty, unless the answer is cut: every line ends with a line break
  if (rest.trim() !== '') throw unexpected(rest, lines.length + 1)
  return lines
    .map((line, n) => (line.trim() === '' ? undefined : parsePath(line, n + 1)))
    .filter(path => path !== undefined)
}

function parsePath(line: string, number: number): KnownPath {
  const [, device, hctl = '', deviceNumber = '', dm = '', checker = '', state = '', wwid, map] = LINE.exec(line) ?? []
  if (device === undefined) throw unexpected(line, number)
  return {
    device: device.trim(),
    deviceNumber: deviceNumber.trim(),
    hctl: readHctl(hctl.trim()),
    wwid: known(wwid?.trim()),
    map: known(map?.trim()),
    ...readPathState({ dm: dm.trim(), checker: checker.trim(), device: state.trim() }),
  }
}

function unexpected(line: string, number: number): LunError<'UNEXPECTED_OUTPUT'> {
  const details = { tool: 'multipathd', line: number, text: line.slice(0, 200) }
  return new LunError('UNEXPECTED_OUTPUT', `multipathd show paths: line ${number} is no path`, details)
}
