import { LunError } from '../core/error.ts'
import type { Hctl } from '../core/hctl.ts'
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

const LINE = /^([^|]+)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)$/
const HCTL = /^(\d+):(\d+):(\d+):(\d+)$/

/** Reads `multipathd show paths raw format …`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parsePaths(text: string): readonly KnownPath[] {
  // An empty answer becomes `ok` (multipathd/uxlsnr.c, default_reply), so this is how no paths look.
  if (text.trim() === 'ok') return []
  return text
    .split('\n')
    .map((line, n) => (line.trim() === '' ? undefined : parsePath(line, n + 1)))
    .filter(path => path !== undefined)
}

function parsePath(line: string, number: number): KnownPath {
  const [, device, hctl = '', deviceNumber = '', dm = '', checker = '', state = '', wwid, map] = LINE.exec(line) ?? []
  if (device === undefined) {
    const details = { tool: 'multipathd', line: number, text: line.slice(0, 200) }
    throw new LunError('UNEXPECTED_OUTPUT', `multipathd show paths: line ${number} is no path`, details)
  }
  return {
    device: device.trim(),
    deviceNumber: deviceNumber.trim(),
    hctl: parseHctl(hctl.trim()),
    wwid: known(wwid?.trim()),
    map: known(map?.trim()),
    ...readPathState({ dm: dm.trim(), checker: checker.trim(), device: state.trim() }),
  }
}

function parseHctl(text: string): Hctl | undefined {
  const [, host, channel, target, lun] = HCTL.exec(text) ?? []
  if (lun === undefined) return undefined
  return { host: Number(host), channel: Number(channel), target: Number(target), lun: Number(lun) }
}
