import type { BlockDevice, Session, SessionSpec } from './devices.ts'
import { createIoQueue, isUsable } from './io.ts'
import { createDeviceMapper, type DeviceMapper } from './maps.ts'
import type { Partitions } from './partitions.ts'
import type { StorageArray } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import { createScsiLayer } from './scsi.ts'
import { hideSession, publishSession } from './session.ts'
import type { Tree } from './tree.ts'

/** Whom the kernel tells what it does: udev, and through it multipathd. */
export interface KernelListener {
  readonly added: (device: BlockDevice) => void
  readonly removed: (device: BlockDevice) => void
  /** A path can carry I/O again, or cannot any more. */
  readonly pathChanged: (device: BlockDevice) => void
}

/** The parts of a Linux kernel an attached LUN is made of, and their sysfs. */
export interface Kernel extends DeviceMapper, Partitions {
  readonly sessions: Map<number, Session>
  readonly disks: Map<string, BlockDevice>
  createSession(spec: SessionSpec): Session
  /** A login that was refused had a session, too, and its number is used up. */
  skipSession(): void
  destroySession(session: Session): void
  /** Takes its devices away for good, and stays: half a logout. */
  unbind(session: Session, targetId: NonNullable<Session['unboundAs']>): void
  /** The session's connection has been made again. */
  recover(session: Session): void
  /** Whether I/O through this disk can succeed now. */
  isUsable(disk: BlockDevice): boolean
  listen(listener: KernelListener): void
}

/** The device of a number, if it is there. */
export function findDevice(
  { disks, partitions, maps }: Pick<Kernel, 'disks' | 'partitions' | 'maps'>,
  { major, minor }: { readonly major: number; readonly minor: number }
): BlockDevice | undefined {
  return [...disks.values(), ...partitions.values(), ...maps.values()].find(
    each => each.major === major && each.minor === minor
  )
}

/** Debian's noop_out_interval and noop_out_timeout together; a reset is noticed at once. */
const NOOP_MS = 10_000
const SECOND_MS = 1000
const RECOVERY_S = 120

export function createKernel(tree: Tree, array: StorageArray, scheduler: Scheduler): Kernel {
  const sessions = new Map<number, Session>()
  const listeners: KernelListener[] = []
  let nextSid = 1
  const freeHost = (): number => {
    const used = new Set([...sessions.values()].map(({ host }) => host))
    for (let n = 0; ; n++) if (!used.has(n)) return n
  }
  const tell = (what: keyof KernelListener) => (device: BlockDevice) => {
    for (const listener of listeners) listener[what](device)
  }
  const ioQueue = createIoQueue(scheduler)
  array.onChange(() => ioQueue.wake())
  const parts = { tree, array, scheduler, ioQueue, added: tell('added'), removed: tell('removed') }
  const scsi = createScsiLayer(parts)
  const mapper = createDeviceMapper(parts)
  const tellPaths = ({ devices }: Session): void => {
    for (const { disk } of devices.values()) if (disk !== undefined) tell('pathChanged')(disk)
  }
  const lose = (session: Session): void => {
    if (session.state !== 'LOGGED_IN') return
    session.state = 'FAILED'
    scheduler.after(session.recoveryTimeoutS * SECOND_MS, () => {
      if (session.state !== 'FAILED') return
      session.state = 'FREE'
      tellPaths(session)
    })
  }
  const standby = new WeakSet<Session>()
  array.onChange(() => {
    for (const session of sessions.values()) {
      const isStandby = array.isStandby(session.portal)
      if (isStandby !== standby.has(session)) tellPaths(session)
      if (isStandby) standby.add(session)
      else standby.delete(session)
      const isReachable = (): boolean => array.isReachable(session.iqn, session.portal)
      if (session.state !== 'LOGGED_IN' || isReachable()) continue
      const isSilent = array.portalState(session.portal) === 'cut'
      scheduler.after(isSilent ? NOOP_MS : 0, () => {
        if (!isReachable()) lose(session)
      })
    }
  })
  return {
    ...mapper,
    ...scsi,
    sessions,
    isUsable: disk => isUsable(array, disk),
    listen: listener => {
      listeners.push(listener)
    },
    createSession: spec => {
      const session: Session = {
        ...spec,
        sid: nextSid++,
        host: freeHost(),
        state: 'LOGGED_IN',
        recoveryTimeoutS: RECOVERY_S,
        devices: new Map(),
        unboundAs: undefined,
      }
      sessions.set(session.sid, session)
      publishSession(tree, session, request => scsi.scan(session, request))
      if (spec.isScanned) scsi.scan(session, '- - -')
      return session
    },
    skipSession: () => {
      nextSid++
    },
    destroySession: session => {
      for (const device of session.devices.values()) scsi.remove(device)
      sessions.delete(session.sid)
      hideSession(tree, session)
    },
    unbind: (session, targetId) => {
      for (const device of session.devices.values()) scsi.remove(device)
      session.unboundAs = targetId
    },
    recover: session => {
      session.state = 'LOGGED_IN'
      tellPaths(session)
    },
  }
}
