/** multipathd's configuration, as far as the simulation follows it. */
export interface MultipathSettings {
  /** Default `off`: a map from the first path on. */
  readonly findMultipaths: 'off' | 'strict'
  /** Default false: maps are named by their WWID. */
  readonly hasFriendlyNames: boolean
  /** What becomes of I/O while no path works. Not set by default, which is as `fail`. */
  readonly noPathRetry?: 'queue' | 'fail'
}

/** A path as multipathd tells of it. */
export interface PathView {
  readonly disk: string
  readonly number: string
  readonly hctl: string
  readonly target: string
  readonly initiator: string
  readonly deviceState: string
  readonly isUp: boolean
  readonly wwid: string
  /** Name of the map it is in. */
  readonly map: string | undefined
}

/** A map as multipathd tells of it. */
export interface MapView {
  readonly name: string
  readonly wwid: string
  readonly dm: string
  readonly isReadOnly: boolean
  readonly faults: number
  readonly noPathRetry: MultipathSettings['noPathRetry'] | undefined
  /** Whether the kernel has been told to queue. */
  readonly isQueueing: boolean
  readonly paths: readonly PathView[]
}

/** `show paths raw format …`; the empty answer becomes `ok` (multipathd/uxlsnr.c). */
export function formatPaths(paths: readonly PathView[], format: string): string {
  const line = (path: PathView): string =>
    format.replaceAll(/%(\w)/g, (word, letter: string) => {
      const value: Readonly<Record<string, string>> = {
        d: path.disk,
        i: path.hctl,
        D: path.number,
        t: path.map === undefined ? 'undef' : path.isUp ? 'active' : 'failed',
        T: path.isUp ? 'ready' : 'faulty',
        o: path.deviceState,
        w: path.wwid,
        m: path.map ?? '[orphan]',
      }
      return value[letter] ?? word
    })
  return paths.length === 0 ? 'ok\n' : paths.map(path => `${line(path)}\n`).join('')
}

/** `show maps json` of multipath-tools 0.11.1. */
export function formatMaps(maps: readonly MapView[]): string {
  const body = maps.length === 0 ? '[]' : `[${maps.map(map => mapBody(map)).join(',')}]`
  return `{\n   "major_version": 0,\n   "minor_version": 1,\n   "maps": ${body}\n}\n`
}

/** `show map NAME json`. */
export function formatMap(map: MapView): string {
  return `{\n   "major_version": 0,\n   "minor_version": 1,\n   "map":${mapBody(map)}\n}\n`
}

// libmultipath/print.c, snprint_queueing()
const QUEUEING = { queue: 'on', fail: 'off', unset: '-' }

function mapBody({ name, wwid, dm, isReadOnly, faults, paths, noPathRetry, isQueueing }: MapView): string {
  const [first] = paths
  const fields: readonly (readonly [string, string | number])[] = [
    ['name', name],
    ['uuid', wwid],
    ['sysfs', dm],
    ['failback', 'manual'],
    ['queueing', QUEUEING[noPathRetry ?? 'unset']],
    ['paths', paths.filter(({ isUp }) => isUp).length],
    ['write_prot', isReadOnly ? 'ro' : 'rw'],
    ['dm_st', 'active'],
    ['features', isQueueing ? '1 queue_if_no_path' : '0'],
    ['hwhandler', '1 alua'],
    ['action', 'create'],
    ['path_faults', faults],
    ['vend', first === undefined ? '' : 'EQLOGIC'],
    ['prod', first === undefined ? '' : '100E-00'],
    ['rev', first === undefined ? '' : '4.0'],
    ['switch_grp', 0],
    ['map_loads', 1],
    ['total_q_time', 0],
    ['q_timeouts', 0],
  ]
  const lines = fields.map(([key, value]) => `      "${key}" : ${JSON.stringify(value)},\n`).join('')
  const groups = paths.length === 0 ? '[]' : `[${groupBody(paths)}]`
  return `{\n${lines}      "path_groups": ${groups}\n   }`
}

function groupBody(paths: readonly PathView[]): string {
  const head = `{
         "selector" : "service-time 0",
         "pri" : 50,
         "dm_st" : "enabled",
         "marginal_st" : "normal",
         "group" : 1,
         "paths": [`
  return `${head}${paths.map(path => pathBody(path)).join(',')}]\n      }`
}

function pathBody({ disk, number, isUp, deviceState, target, initiator, hctl }: PathView): string {
  const lun = Number(hctl.split(':')[3] ?? 0)
  const lunHex = `0x${lun.toString(16).padStart(4, '0').padEnd(16, '0')}`
  const fields: readonly (readonly [string, string | number])[] = [
    ['dev', disk],
    ['dev_t', number],
    ['dm_st', isUp ? 'active' : 'failed'],
    ['dev_st', deviceState],
    ['chk_st', isUp ? 'ready' : 'faulty'],
    ['checker', 'tur'],
    ['pri', isUp ? 50 : 0],
    ['host_wwnn', '[undef]'],
    ['target_wwnn', target],
    ['host_wwpn', '[undef]'],
    ['target_wwpn', '[undef]'],
    ['host_adapter', initiator],
    ['lun_hex', lunHex],
    ['marginal_st', 'normal'],
  ]
  const lines = fields.map(([key, value]) => `            "${key}" : ${JSON.stringify(value)}`).join(',\n')
  return `{\n${lines}\n         }`
}

/** `show config local`, as far as this library reads it. */
export function formatConfig({ findMultipaths, hasFriendlyNames, noPathRetry }: MultipathSettings): string {
  const retry = noPathRetry === undefined ? '' : `\n\tno_path_retry "${noPathRetry}"`
  return `defaults {
	find_multipaths "${findMultipaths}"
	user_friendly_names "${hasFriendlyNames ? 'yes' : 'no'}"${retry}
}
blacklist {
	devnode "^(vd|loop)"
	devnode "!^(sd[a-z]|dasd[a-z]|nvme[0-9])"
}
blacklist_exceptions {
	property "(SCSI_IDENT_|ID_WWN)"
}
devices {
}
overrides {
}
`
}
