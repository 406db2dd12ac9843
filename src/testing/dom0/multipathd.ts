import { DEVICE_MAPPER, mayClaim } from './claims.ts'
import { type BlockDevice, isReadOnly } from './devices.ts'
import type { Kernel } from './kernel.ts'
import { flushMap, isMultipath } from './multipath-flush.ts'
import { answerOrder } from './multipathd-language.ts'
import type { MapView, MultipathSettings, PathView } from './multipathd-output.ts'
import type { Scheduler } from './scheduler.ts'
import type { Tree } from './tree.ts'
import type { Udev } from './udev.ts'
import { createWwids, type Wwids } from './wwids.ts'

/** multipathd: paths, maps, and what it says on its socket. */
export interface Multipathd extends Wwids {
  isRunning(): boolean
  start(): void
  stop(): void
  /** The answer to one line of its language. */
  ask(line: string): string
  /** What it believes, map by map. */
  view(): readonly MapView[]
  /** `multipath -f`, without the daemon. */
  flush(name: string): 'flushed' | 'absent' | 'busy'
}

interface Path {
  readonly disk: BlockDevice
  readonly wwid: string
  map: MultipathMap | undefined
  isUp: boolean
}

interface MultipathMap {
  readonly wwid: string
  readonly name: string
  readonly device: BlockDevice
  readonly paths: Path[]
  /** Disks that came while udev had not yet seen the map. */
  readonly waiting: Path[]
  faults: number
  noPathRetry: MultipathSettings['noPathRetry'] | undefined
}

const CHECK_MS = 2000
const TAKE_OVER_S = 5 // its fast_io_fail_tmo, which it gives the session as recovery_tmo

export function createMultipathd(
  tree: Tree,
  kernel: Kernel,
  udev: Udev,
  scheduler: Scheduler,
  settings: MultipathSettings
): Multipathd {
  const paths = new Map<BlockDevice, Path>()
  const maps = new Map<string, MultipathMap>()
  let isRunning = true
  let nextAlias = 0
  const wwids = createWwids(tree)

  const reload = ({ device, paths: members }: MultipathMap): void => {
    kernel.loadMap(
      device,
      members.map(({ disk }) => disk)
    )
  }
  // ev_add_path() in multipathd/main.c: where the kernel refuses the table, the path is an orphan and the answer "fail".
  const join = (map: MultipathMap, path: Path): boolean => {
    if (!mayClaim(path.disk, DEVICE_MAPPER)) return false
    path.map = map
    map.paths.push(path)
    reload(map)
    return true
  }
  const setQueueing = (map: MultipathMap, noPathRetry: MultipathSettings['noPathRetry']): void => {
    map.noPathRetry = noPathRetry
    kernel.setQueueing(map.device, noPathRetry === 'queue')
  }
  const makeMap = (path: Path): boolean => {
    if (path.disk.sizeBytes === 0 || !mayClaim(path.disk, DEVICE_MAPPER)) return false
    const name = settings.hasFriendlyNames ? `mpath${String.fromCodePoint(0x61 + nextAlias++)}` : path.wwid
    const device = kernel.createMap(name, `mpath-${path.wwid}`, [path.disk])
    path.map = { wwid: path.wwid, name, device, paths: [path], waiting: [], faults: 0, noPathRetry: undefined }
    setQueueing(path.map, settings.noPathRetry)
    maps.set(path.wwid, path.map)
    wwids.addWwid(path.wwid)
    return true
  }
  const addPath = (disk: BlockDevice): boolean => {
    if (!udev.isInitialized(disk) || disk.scsi === undefined) return false
    const known = paths.get(disk)
    if (known?.map !== undefined) return true
    const path = known ?? { disk, wwid: disk.scsi.identity.wwid, map: undefined, isUp: kernel.isUsable(disk) }
    paths.set(disk, path)
    disk.scsi.session.recoveryTimeoutS = TAKE_OVER_S
    const map = maps.get(path.wwid)
    if (map === undefined) {
      if (settings.findMultipaths === 'off' || wwids.hasWwid(path.wwid)) return makeMap(path)
    } else if (udev.isInitialized(map.device)) return join(map, path)
    else if (!map.waiting.includes(path)) map.waiting.push(path)
    return true
  }
  const dropMap = (map: MultipathMap): void => {
    maps.delete(map.wwid)
    for (const path of [...map.paths, ...map.waiting]) path.map = undefined
  }
  const removeMap = (map: MultipathMap): boolean => {
    if (!flushMap(kernel, map.device)) return false
    dropMap(map)
    return true
  }
  const forget = (disk: BlockDevice): void => {
    const path = paths.get(disk)
    if (path === undefined) return
    paths.delete(disk)
    const { map } = path
    if (map === undefined) return
    map.paths.splice(map.paths.indexOf(path), 1)
    // One that is open stays, with an empty table: ev_remove_path() in multipathd/main.c.
    if (map.paths.length === 0 && map.waiting.length === 0 && removeMap(map)) return
    reload(map)
  }
  const check = (disk: BlockDevice): void => {
    scheduler.after(CHECK_MS, () => {
      const path = paths.get(disk)
      if (!isRunning || path === undefined) return
      const isUp = kernel.isUsable(disk)
      if (path.isUp && !isUp && path.map !== undefined) path.map.faults++
      path.isUp = isUp
    })
  }
  udev.listen({
    initialized: device => {
      if (!isRunning) return
      if (device.scsi !== undefined) addPath(device)
      const map = [...maps.values()].find(each => each.device === device)
      for (const path of map?.waiting.splice(0) ?? []) if (map !== undefined && paths.has(path.disk)) join(map, path)
    },
    removed: device => {
      if (isRunning && device.scsi !== undefined) forget(device)
    },
  })
  kernel.listen({ added: () => {}, removed: () => {}, pathChanged: check })

  // At its start it takes over what the kernel has.
  const start = (): void => {
    if (isRunning) return
    isRunning = true
    for (const device of kernel.maps.values()) if (isMultipath(device)) adopt(device)
    for (const disk of kernel.disks.values()) addPath(disk)
  }
  const adopt = (device: BlockDevice): void => {
    const wwid = device.dm?.uuid.replace('mpath-', '') ?? ''
    const map: MultipathMap = {
      wwid,
      name: device.dm?.name ?? '',
      device,
      paths: [],
      waiting: [],
      faults: 0,
      noPathRetry: undefined,
    }
    setQueueing(map, settings.noPathRetry)
    maps.set(wwid, map)
    for (const disk of device.slaves) {
      const path: Path = { disk, wwid, map, isUp: kernel.isUsable(disk) }
      map.paths.push(path)
      paths.set(disk, path)
    }
  }
  const find = (name: string): MultipathMap | undefined =>
    [...maps.values()].find(map => map.name === name || map.wwid === name)
  return {
    isRunning: () => isRunning,
    start,
    stop: () => {
      isRunning = false
      // Its queue_without_daemon is "no".
      for (const { device } of maps.values()) kernel.setQueueing(device, false)
      paths.clear()
      maps.clear()
    },
    ask: line =>
      answerOrder(line, {
        maps: () => [...maps.values()].map(viewMap),
        paths: () => [...paths.values()].map(viewPath),
        settings,
        addPath: name => {
          const disk = kernel.disks.get(name)
          return disk !== undefined && addPath(disk)
        },
        forgetPath: name => {
          const disk = kernel.disks.get(name)
          if (disk === undefined || !paths.has(disk)) return false
          forget(disk)
          return true
        },
        addMap: wwid => {
          const path = [...paths.values()].find(each => each.wwid === wwid)
          return path !== undefined && (path.map !== undefined || makeMap(path))
        },
        removeMap: name => {
          const map = find(name)
          return map === undefined ? undefined : removeMap(map)
        },
        resizeMap: name => {
          const map = find(name)
          if (map !== undefined) kernel.resizeMap(map.device)
        },
        setQueueing: (name, queueing) => {
          const map = find(name)
          if (map !== undefined) setQueueing(map, queueing === 'disabled' ? 'fail' : settings.noPathRetry)
        },
      }),
    view: () => [...maps.values()].map(viewMap),
    flush: name => {
      const device = [...kernel.maps.values()].find(
        each => isMultipath(each) && (each.dm?.name === name || each.dm?.uuid === `mpath-${name}`)
      )
      if (device === undefined) return 'absent'
      const map = find(name)
      if (!flushMap(kernel, device)) return 'busy'
      if (map !== undefined) dropMap(map)
      return 'flushed'
    },
    ...wwids,
  }
}

function viewPath(path: Path): PathView {
  const { disk, wwid, isUp } = path
  return {
    disk: disk.name,
    number: `${disk.major}:${disk.minor}`,
    hctl: disk.scsi?.hctl ?? '',
    target: disk.scsi?.session.iqn ?? '',
    initiator: disk.scsi?.session.initiator ?? '',
    deviceState: isUp ? 'running' : 'offline',
    isUp,
    wwid,
    map: path.map?.name,
  }
}

function viewMap({ name, wwid, device, faults, paths, noPathRetry }: MultipathMap): MapView {
  const isQueueing = device.dm?.isQueueing === true
  return {
    name,
    wwid,
    dm: device.name,
    isReadOnly: isReadOnly(device),
    faults,
    paths: paths.map(viewPath),
    noPathRetry,
    isQueueing,
  }
}
