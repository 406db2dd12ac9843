import type { Kernel } from './kernel.ts'
import type { Multipathd } from './multipathd.ts'
import { DATABASE } from './node-records.ts'
import { scsiState } from './scsi.ts'
import type { Tree } from './tree.ts'
import type { XenstoreModel } from './xenstore.ts'

export interface SessionState {
  readonly id: number
  readonly iqn: string
  readonly portal: string
  readonly iface: string
  /** LOGGED_IN, FAILED or FREE. */
  readonly state: string
}

/** A SCSI disk that comes from an iSCSI session. */
export interface DiskState {
  readonly name: string
  readonly sessionId: number
  readonly lun: number
  readonly wwid: string
  readonly state: string
  readonly sizeBytes: number
}

export interface MapState {
  readonly name: string
  readonly uuid: string
  readonly sizeBytes: number
  /** Names of the disks below it, e.g. `sda`. */
  readonly disks: readonly string[]
}

export interface WatchedPath {
  readonly disk: string
  /** What the kernel's map makes of it: active or failed. */
  readonly dmState: string
  /** What multipathd's checker found: ready, faulty ... */
  readonly checker: string
}

export interface WatchedMap {
  readonly wwid: string
  readonly paths: readonly WatchedPath[]
}

/** What a host holds, seen from outside this library. */
export interface HostState {
  readonly sessions: readonly SessionState[]
  readonly disks: readonly DiskState[]
  readonly maps: readonly MapState[]
  /** What multipathd believes; undefined if it does not run. */
  readonly watched: readonly WatchedMap[] | undefined
  /** Files of the node database. */
  readonly records: readonly string[]
  /** Files of the database of SendTargets discoveries. */
  readonly discoveries: readonly string[]
  /** Files of interface records. */
  readonly ifaces: readonly string[]
  readonly wwids: readonly string[]
  /** Files below /run/xen-lun but for locks, and what outlives a boot, below /var/lib/xen-lun. */
  readonly journal: readonly string[]
  /** Backend directories in xenstore, e.g. `/local/domain/0/backend/vbd/1/51712`. */
  readonly vbds: readonly string[]
  /** Files below /var/lib/iscsi that a writer left who was killed; absent where there are none. */
  readonly drafts?: readonly string[]
}

interface StateParts {
  readonly tree: Tree
  readonly kernel: Kernel
  readonly multipathd: Multipathd
  readonly xenstore: XenstoreModel
}

/** Reads the simulated host's state from the model itself. */
export function readState({ tree, kernel, multipathd, xenstore }: StateParts): HostState {
  const disks = [...kernel.disks.values()].flatMap(({ name, scsi, sizeBytes }) =>
    scsi === undefined ? [] : [{ name, scsi, sizeBytes }]
  )
  const drafts = filesBelow(tree, DATABASE).filter(isDraft)
  const kept = (folder: string): readonly string[] =>
    filesBelow(tree, `${DATABASE}/${folder}`).filter(path => !isDraft(path))
  return {
    sessions: [...kernel.sessions.values()].map(({ sid, iqn, portal, iface, state }) => ({
      id: sid,
      iqn,
      portal,
      iface,
      state,
    })),
    disks: disks.map(({ name, scsi, sizeBytes }) => ({
      name,
      sessionId: scsi.session.sid,
      lun: scsi.lun,
      wwid: scsi.identity.wwid,
      state: scsiState(scsi.session),
      sizeBytes,
    })),
    maps: [...kernel.maps.values()].map(({ dm, sizeBytes, slaves }) => ({
      name: dm?.name ?? '',
      uuid: dm?.uuid ?? '',
      sizeBytes,
      disks: [...slaves].map(({ name }) => name).toSorted(),
    })),
    watched: multipathd.isRunning()
      ? multipathd.view().map(({ wwid, paths }) => ({
          wwid,
          paths: paths.map(({ disk, isUp }) => ({
            disk,
            dmState: isUp ? 'active' : 'failed',
            checker: isUp ? 'ready' : 'faulty',
          })),
        }))
      : undefined,
    records: kept('nodes'),
    discoveries: kept('send_targets'),
    ifaces: kept('ifaces'),
    wwids: multipathd.wwids(),
    journal: [...filesBelow(tree, '/run/xen-lun').filter(isNote), ...filesBelow(tree, '/var/lib/xen-lun')],
    vbds: [...xenstore.values.keys()].filter(key => /^\/local\/domain\/0\/backend\/vbd\/\d+\/\d+$/.test(key)),
    ...(drafts.length > 0 && { drafts }),
  }
}

/** One line per thing that is there and would not be on a host where nothing is attached. */
export function leftovers(state: HostState): readonly string[] {
  return Object.entries(state).flatMap(([kind, found]: [string, readonly unknown[] | undefined]) =>
    (found ?? []).map(item => `${kind}: ${typeof item === 'string' ? item : JSON.stringify(item)}`)
  )
}

function isDraft(path: string): boolean {
  return /\/\.[^/]+\.draft$/.test(path)
}

function filesBelow(tree: Tree, path: string): readonly string[] {
  const found = tree.list(path).flatMap(name => {
    const child = `${path}/${name}`
    return tree.find(child, { isLink: true })?.kind === 'directory' ? filesBelow(tree, child) : [child]
  })
  return found.toSorted()
}

function isNote(path: string): boolean {
  return !path.startsWith('/run/xen-lun/locks/')
}
