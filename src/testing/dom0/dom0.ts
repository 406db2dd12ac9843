import { queued } from '../../flow/queued-locks.ts'
import { createFlock } from '../../host/flock.ts'
import type { Host } from '../../host/host.ts'
import { createMultipathdSocket } from '../../host/multipathd-socket.ts'
import { createExecutor } from './executor.ts'
import { createFiles } from './files.ts'
import { createIscsiadmProgram } from './iscsiadm.ts'
import { createIscsid, type LoginTiming } from './iscsid.ts'
import { createKernel } from './kernel.ts'
import { plantMachine } from './machine.ts'
import { createMultipathd } from './multipathd.ts'
import { createConnection } from './multipathd-connection.ts'
import type { MultipathSettings } from './multipathd-output.ts'
import { createRecords } from './node-records.ts'
import { createProcess } from './process.ts'
import type { Program } from './program.ts'
import { createFlockProgram, createMultipathdProgram, createMultipathProgram } from './programs.ts'
import { createArray, type TargetSpec, type VolumeSpec } from './san.ts'
import { createSan, type San } from './san-control.ts'
import { createScheduler, type Policy } from './scheduler.ts'
import { type HostState, leftovers, readState } from './state.ts'
import { attribute, createTree, textFile } from './tree.ts'
import { createUdev } from './udev.ts'
import { createXenstorePrograms, type XenstoreModel } from './xenstore.ts'

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
  readonly stopped?: readonly ('iscsid' | 'multipathd')[]
}

/** A daemon of the simulated host. */
export interface SimulatedDaemon {
  isRunning(): boolean
  start(): Promise<void>
  /** It ends, what it made stays. */
  stop(): Promise<void>
}

/** One process that uses the library on the simulated host. */
export interface SimulatedUser {
  readonly pid: number
  /** To be given to `attachLun`, `createIscsiadm`, … */
  readonly host: Host
  /** Ends it in the middle of whatever it does; what it began elsewhere goes on. */
  kill(): void
}

/** A device that is open. */
export interface OpenDevice {
  close(): void
}

/** A Xen dom0 with open-iscsi, multipathd and xenstore, and a SAN, all in memory and in virtual time. */
export interface SimulatedDom0 {
  /** To be given to `attachLun`, `createIscsiadm`, … */
  readonly host: Host
  readonly san: San
  readonly daemons: { readonly iscsid: SimulatedDaemon; readonly multipathd: SimulatedDaemon }
  /** Programs started so far, as one line each. */
  readonly started: readonly string[]
  /** What the host holds now. */
  state(): HostState
  /** One line for everything that would not be there if nothing was attached. */
  leftovers(): readonly string[]
  /** Another process on the same host. */
  startUser(): SimulatedUser
  /** Opens a device node, so that it is in use; by the process `pid`, if that is to be found. */
  openDevice(path: string, pid?: number): OpenDevice
  /** Reads from a device node as a guest would. */
  readDevice(path: string, offset: number, length: number): Promise<Uint8Array>
  writeDevice(path: string, offset: number, data: Uint8Array): Promise<void>
}

const PORTALS = ['10.0.1.1:3260', '10.0.2.1:3260'] as const
const FIRST_PID = 1000
const SOCKET = '\0/org/kernel/linux/storage/multipathd'
/** How long the host has been up when the simulation begins. */
const BOOTED_MS = 3_600_000

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
  const tree = createTree()
  const scheduler = createScheduler(options.policy)
  const array = createArray(options.portals ?? PORTALS)
  const kernel = createKernel(tree, array, scheduler)
  const udev = createUdev(tree, kernel, scheduler)
  const settings = { findMultipaths: 'off', hasFriendlyNames: false, ...options.multipath } as const
  const multipathd = createMultipathd(tree, kernel, udev, scheduler, settings)
  const records = createRecords(tree)
  const iscsid = createIscsid(kernel, array, scheduler)
  Object.assign(iscsid.timing, options.timing)
  const xenstore: XenstoreModel = { values: new Map([['/local/domain/0/name', 'Domain-0']]), isRunning: true }
  const flock = createFlockProgram(scheduler)
  const programs: Readonly<Record<string, Program>> = {
    iscsiadm: createIscsiadmProgram({ tree, array, kernel, records, iscsid, scheduler }),
    multipathd: createMultipathdProgram(multipathd, scheduler),
    multipath: createMultipathProgram(multipathd, kernel, scheduler),
    flock,
    ...createXenstorePrograms(xenstore, scheduler),
  }
  for (const folder of ['/run/lock', '/etc/multipath', '/sys/block', '/dev/mapper']) {
    tree.makeDirectory(folder)
  }
  tree.put(
    '/proc/uptime',
    attribute(() => `${((scheduler.now() + BOOTED_MS) / 1000).toFixed(2)} 0.00\n`)
  )
  plantMachine(tree, iscsid)
  for (const volume of options.volumes ?? []) array.addVolume(volume)
  for (const target of options.targets ?? []) array.addTarget(target)
  const { portals = {}, stopped = [] } = options.faults ?? {}
  for (const [portal, state] of Object.entries(portals)) array.setPortalState(portal, state)
  if (stopped.includes('iscsid')) iscsid.stop()
  if (stopped.includes('multipathd')) multipathd.stop()

  const started: string[] = []
  let nextPid = FIRST_PID
  const startUser = (): SimulatedUser => {
    const process = createProcess(nextPid++, scheduler, (pid, descriptor) => flock.release(pid, descriptor))
    const folder = `/proc/${process.pid}`
    tree.put(`${folder}/stat`, textFile(`${process.pid} (node) S 1${' 0'.repeat(17)} ${scheduler.now()} 0\n`))
    tree.put(`${folder}/mountinfo`, textFile(''))
    const files = createFiles(tree, process)
    const listen = (): ((line: string) => string) | undefined =>
      multipathd.isRunning() ? line => multipathd.ask(line) : undefined
    const executor = createMultipathdSocket(createExecutor(programs, process, started), {
      paths: [SOCKET],
      connect: () => createConnection(process, scheduler, listen),
    })
    return {
      pid: process.pid,
      host: {
        executor,
        files,
        clock: process.clock,
        locks: queued(createFlock({ executor, files }), process.clock),
      },
      kill: () => {
        process.kill()
        tree.remove(folder)
      },
    }
  }
  const daemon = (model: { isRunning(): boolean; start(): void; stop(): void }): SimulatedDaemon => ({
    isRunning: () => model.isRunning(),
    start: async () => model.start(),
    stop: async () => model.stop(),
  })
  const deviceAt = (path: string) => {
    const node = tree.find(path)
    if (node?.kind !== 'device') throw new Error(`${path} is no device`)
    return node
  }
  const readNow = (): HostState => readState({ tree, kernel, multipathd, xenstore })
  return {
    host: startUser().host,
    san: createSan(array),
    daemons: { iscsid: daemon(iscsid), multipathd: daemon(multipathd) },
    started,
    state: readNow,
    leftovers: () => leftovers(readNow()),
    startUser,
    openDevice: (path, pid = FIRST_PID - 1) => {
      const { major, minor } = deviceAt(path)
      const device = [...kernel.disks.values(), ...kernel.maps.values()].find(
        each => each.major === major && each.minor === minor
      )
      if (device !== undefined) device.openCount++
      const link = `/proc/${pid}/fd/${nextPid}`
      tree.put(link, { kind: 'link', target: path })
      tree.put(`/proc/${pid}/comm`, textFile('holder\n'))
      return {
        close: () => {
          if (device !== undefined) device.openCount--
          tree.remove(link)
        },
      }
    },
    readDevice: async (path, offset, length) => await deviceAt(path).read(offset, length),
    writeDevice: async (path, offset, data) => await deviceAt(path).write(offset, data),
  }
}
