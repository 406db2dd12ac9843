import { type Json, parseJson } from '../core/decode.ts'
import { known, type PathState, readPathState } from './path-state.ts'

/** A path as its map shows it. */
export interface MultipathPath extends PathState {
  /** `sdb`. */
  readonly device: string
  /** `8:16`. */
  readonly deviceNumber: string
  /** Number of its path group, from 1. */
  readonly group: number
  readonly priority: number
  /** The address of this host the session uses, for iSCSI. Gone while the session is down. */
  readonly hostAdapter: string | undefined
  /** The iSCSI name of the target, for iSCSI. */
  readonly targetName: string | undefined
}

/** A multipath map. */
export interface MultipathMap {
  /** Below /dev/mapper: the WWID, or an alias such as `mpatha`. */
  readonly name: string
  readonly wwid: string
  /** `dm-0`. */
  readonly device: string
  readonly state: 'active' | 'suspended' | 'unknown'
  /** Paths that take I/O; 0 while all have failed, although `paths` lists them. */
  readonly activePaths: number
  /** Path failures since the map was made. */
  readonly pathFaults: number
  /** Whether I/O waits when no path is left, instead of failing. */
  readonly queuesIfNoPath: boolean
  /** multipathd's words: `off`, `on`, `6 chk` (checks to wait), `13 sec` (left to wait), `-`. */
  readonly queueing: string
  /** Unknown while the map has no path. */
  readonly vendor: string | undefined
  readonly product: string | undefined
  /** Of all groups. None when every device was removed under an open map. */
  readonly paths: readonly MultipathPath[]
}

const TOOL = 'multipathd'
const MAP_STATES: ReadonlyMap<string, MultipathMap['state']> = new Map([
  ['active', 'active'],
  ['suspend', 'suspended'],
])

/** Reads `multipathd show maps json`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function decodeMaps(text: string): readonly MultipathMap[] {
  return parseJson(text, TOOL).at('maps').items().map(decodeMap)
}

/** Reads `multipathd show map NAME json`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function decodeOneMap(text: string): MultipathMap {
  return decodeMap(parseJson(text, TOOL).at('map'))
}

function decodeMap(map: Json): MultipathMap {
  return {
    name: map.at('name').filledText(),
    wwid: map.at('uuid').filledText(),
    device: map.at('sysfs').filledText(),
    state: MAP_STATES.get(map.at('dm_st').text()) ?? 'unknown',
    activePaths: map.at('paths').integer(0),
    pathFaults: map.at('path_faults').integer(0),
    queuesIfNoPath: map.at('features').text().split(/\s+/).includes('queue_if_no_path'),
    queueing: map.at('queueing').text(),
    vendor: known(map.at('vend').text()),
    product: known(map.at('prod').text()),
    paths: map.at('path_groups').items().flatMap(decodeGroup),
  }
}

function decodeGroup(group: Json): readonly MultipathPath[] {
  const number = group.at('group').integer(1)
  return group
    .at('paths')
    .items()
    .map(path => ({
      device: path.at('dev').filledText(),
      deviceNumber: path.at('dev_t').filledText(),
      group: number,
      priority: path.at('pri').integer(),
      hostAdapter: known(path.find('host_adapter')?.text()),
      targetName: known(path.find('target_wwnn')?.text()),
      ...readPathState({
        dm: path.at('dm_st').text(),
        checker: path.at('chk_st').text(),
        device: path.at('dev_st').text(),
      }),
    }))
}
