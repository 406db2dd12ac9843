import type { Host } from '../../host/host.ts'
import { createDeviceUsers, type DeviceUsers } from './device-users.ts'
import type { LoginTiming } from './iscsid.ts'
import { bootMachine, type Machine, type MachineParts } from './machine.ts'
import type { MultipathSettings } from './multipathd-output.ts'
import { createOtherTools, type OtherTools } from './other-tools.ts'
import { type PlantedFile, plant } from './plant.ts'
import { createArray, type TargetSpec, type VolumeSpec } from './san.ts'
import { createSan, type SimulatedSan } from './san-control.ts'
import { createScheduler, type Policy } from './scheduler.ts'
import { type HostState, leftovers, readState } from './state.ts'
import { createTree } from './tree.ts'
import { type SimulatedUser, startUser } from './users.ts'
import type { SimulatedXen } from './xen.ts'

/** What the simulated host and its SAN begin with. */
export interface SimulationOptions {
  /** Where the array listens. Default `10.0.1.1:3260` and `10.0.2.1:3260`. */
  readonly portals?: readonly [string, string, ...string[]]
  readonly volumes?: readonly VolumeSpec[]
  readonly targets?: readonly TargetSpec[]
  /** What is broken from the start; `san` and `daemons` break and mend more. */
  readonly faults?: SimulatedFaults
  readonly multipath?: Partial<MultipathSettings>
  readonly timing?: Partial<LoginTiming>
  /** Decides whose turn it is when several calls wait. Default: first come, first served. */
  readonly policy?: Policy
}

/** What does not work. */
export interface SimulatedFaults {
  /** Portals that swallow packets, or reset connections. */
  readonly portals?: Readonly<Record<string, 'cut' | 'refused'>>
  /** Daemons that do not run. */
  readonly stopped?: readonly ('iscsid' | 'multipathd' | 'xenstored')[]
}

/** A daemon of the simulated host. */
export interface SimulatedDaemon {
  isRunning(): boolean
  start(): Promise<void>
  /** It ends, what it made stays. */
  stop(): Promise<void>
}

/** A Xen dom0 with open-iscsi, multipathd and xenstore, and a SAN, all in memory and in virtual time. */
export interface SimulatedDom0 extends DeviceUsers, OtherTools {
  /** To be given to `attachLun`, `createIscsiadm`, … After a reboot it is that of a new process. */
  readonly host: Host
  readonly san: SimulatedSan
  /** Without xenstored the `xenstore-*` commands fail; what it knew it knows again when it is started. */
  readonly daemons: Readonly<Record<'iscsid' | 'multipathd' | 'xenstored', SimulatedDaemon>>
  /** Domains, and the backends of their disks. */
  readonly xen: SimulatedXen
  /** Programs started so far, as one line each. */
  readonly started: readonly string[]
  /** What the host holds now. */
  state(): HostState
  /** One line for everything that would not be there if nothing was attached. */
  leftovers(): readonly string[]
  /** Puts a file anywhere, of any kind and owner. */
  plant(path: string, file: PlantedFile): void
  /** Another process on the same host. */
  startUser(): SimulatedUser
  /**
   * Power off and on: what was in memory is gone, as are all processes, in the middle of whatever they did; `/etc` and
   * `/var` stay, and the daemons run. {@link SimulatedDom0.host} is new; what the one before had begun never ends.
   */
  reboot(): Promise<void>
}

const PORTALS = ['10.0.1.1:3260', '10.0.2.1:3260'] as const
const FIRST_PID = 1000
/** When the simulation begins, on the clock by which files are stamped. */
const EPOCH_MS = Date.UTC(2025, 0, 1)

/**
 * Makes a dom0 for tests and demonstrations: no root, no Xen, no SAN, and 40 s of waiting cost nothing. It answers the
 * commands, files and sockets that this library uses the way the real tools were recorded to.
 *
 * @example
 * ```ts
 * import { attachLun } from 'xen-lun'
 * import { createSimulatedDom0 } from 'xen-lun/testing'
 *
 * const target = 'iqn.2001-05.com.example:vm1'
 * const dom0 = createSimulatedDom0({
 *   volumes: [{ name: 'vm1', sizeMiB: 64 }],
 *   targets: [{ iqn: target, luns: { 0: 'vm1' } }],
 *   faults: { portals: { '10.0.2.1:3260': 'cut' } },
 * })
 * const lun = await attachLun({ target, portals: dom0.san.portals }, { host: dom0.host })
 * console.log(lun.device, lun.isDegraded)
 * ```
 */
export function createSimulatedDom0(options: SimulationOptions = {}): SimulatedDom0 {
  const scheduler = createScheduler(options.policy)
  const array = createArray(options.portals ?? PORTALS)
  for (const volume of options.volumes ?? []) array.addVolume(volume)
  for (const target of options.targets ?? []) array.addTarget(target)
  const { portals = {}, stopped = [] } = options.faults ?? {}
  for (const [portal, state] of Object.entries(portals)) array.setPortalState(portal, state)
  const parts: MachineParts = {
    tree: createTree(() => EPOCH_MS + scheduler.now()),
    scheduler,
    array,
    settings: { findMultipaths: 'off', hasFriendlyNames: false, ...options.multipath },
    timing: options.timing ?? {},
  }
  const started: string[] = []
  const start = (number: number) => {
    const machine = bootMachine(parts, number)
    const users: SimulatedUser[] = []
    const addUser = (): SimulatedUser => {
      const user = startUser(machine, FIRST_PID + users.length, started)
      users.push(user)
      return user
    }
    const deviceUsers = createDeviceUsers(machine)
    const otherTools = createOtherTools(machine)
    return { ...machine, number, users, addUser, deviceUsers, otherTools, host: addUser().host }
  }
  let machine = start(1)
  const daemon = (name: keyof Machine['daemons']): SimulatedDaemon => ({
    isRunning: () => machine.daemons[name].isRunning(),
    start: async () => machine.daemons[name].start(),
    stop: async () => machine.daemons[name].stop(),
  })
  for (const name of stopped) machine.daemons[name].stop()
  return {
    get host() {
      return machine.host
    },
    san: createSan(array),
    daemons: { iscsid: daemon('iscsid'), multipathd: daemon('multipathd'), xenstored: daemon('xenstored') },
    get xen() {
      return machine.xen
    },
    started,
    state: () => readState(machine),
    leftovers: () => leftovers(readState(machine)),
    plant: (path, file) => plant(machine.tree, path, file),
    plantRecord: (...args) => machine.otherTools.plantRecord(...args),
    addSession: (...args) => machine.otherTools.addSession(...args),
    interruptLogouts: (...args) => machine.otherTools.interruptLogouts(...args),
    startUser: () => machine.addUser(),
    reboot: async () => {
      for (const user of machine.users) user.kill()
      machine.end()
      machine = start(machine.number + 1)
    },
    openDevice: (...args) => machine.deviceUsers.openDevice(...args),
    mount: (...args) => machine.deviceUsers.mount(...args),
    claimDevice: (...args) => machine.deviceUsers.claimDevice(...args),
    partition: (...args) => machine.deviceUsers.partition(...args),
    openHungFile: (...args) => machine.deviceUsers.openHungFile(...args),
    swapOn: (...args) => machine.deviceUsers.swapOn(...args),
    stackDevice: (...args) => machine.deviceUsers.stackDevice(...args),
    readDevice: async (...args) => await machine.deviceUsers.readDevice(...args),
    writeDevice: async (...args) => await machine.deviceUsers.writeDevice(...args),
  }
}
