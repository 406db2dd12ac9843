import { createDmsetupProgram } from './dmsetup.ts'
import { createIscsiadmProgram } from './iscsiadm.ts'
import { createIscsid, type Iscsid, type LoginTiming } from './iscsid.ts'
import { createKernel, type Kernel } from './kernel.ts'
import { createLifetime } from './lifetime.ts'
import { createMultipathd, type Multipathd } from './multipathd.ts'
import type { MultipathSettings } from './multipathd-output.ts'
import { createRecords } from './node-records.ts'
import { createProc, type Proc } from './proc.ts'
import type { Program } from './program.ts'
import { createFlockProgram, createMultipathdProgram, createMultipathProgram, type FileLocks } from './programs.ts'
import type { StorageArray } from './san.ts'
import type { Scheduler } from './scheduler.ts'
import type { Tree } from './tree.ts'
import { createUdev } from './udev.ts'
import { createXen, type SimulatedXen } from './xen.ts'
import { plantXenHost } from './xen-host.ts'
import { createXenstoreModel, type XenstoreModel } from './xenstore.ts'
import { createXenstorePrograms } from './xenstore-programs.ts'
import { createXenstored, type Xenstored } from './xenstored.ts'

/** What a host is made of that outlives it: disks, clock, network, configuration. */
export interface MachineParts {
  readonly tree: Tree
  readonly scheduler: Scheduler
  readonly array: StorageArray
  readonly settings: MultipathSettings
  readonly timing: Partial<LoginTiming>
}

interface Daemon {
  isRunning(): boolean
  start(): void
  stop(): void
}

/** The host from one boot to the next: kernel, daemons, programs, and what they keep in memory. */
export interface Machine {
  readonly tree: Tree
  readonly scheduler: Scheduler
  readonly kernel: Kernel
  readonly proc: Proc
  readonly multipathd: Multipathd
  readonly iscsid: Iscsid
  readonly xenstore: XenstoreModel
  readonly xenstored: Xenstored
  readonly xen: SimulatedXen
  readonly flock: FileLocks
  readonly daemons: Readonly<Record<'iscsid' | 'multipathd' | 'xenstored', Daemon>>
  readonly programs: Readonly<Record<string, Program>>
  /** Power off: all that is under way stays as it is. */
  end(): void
}

/** The simulation begins on a host that has been up for an hour; whoever reboots it sees it a minute later. */
const FIRST_UPTIME_MS = 3_600_000
const REBOOTED_UPTIME_MS = 60_000
const VOLATILE = ['/run', '/proc', '/sys', '/dev']
/** As Debian has it. */
const STICKY_FOR_ALL = 0o1777
const FOLDERS = ['/etc/multipath', '/sys/block', '/sys/bus/xen-backend/devices', '/dev/mapper']

/** Starts the host for the `number`-th time. Of its files those on disk are kept. */
export function bootMachine(parts: MachineParts, number: number): Machine {
  const { tree, settings, timing } = parts
  const lifetime = createLifetime(parts.scheduler, parts.array)
  const { scheduler, array } = lifetime
  for (const folder of VOLATILE) tree.remove(folder)
  for (const folder of FOLDERS) tree.makeDirectory(folder)
  tree.makeDirectory('/run/lock', STICKY_FOR_ALL)
  const bootedMs = scheduler.now() - (number === 1 ? FIRST_UPTIME_MS : REBOOTED_UPTIME_MS)
  const proc = createProc(tree, { number, uptimeMs: () => scheduler.now() - bootedMs })
  const kernel = createKernel(tree, array, scheduler)
  const udev = createUdev(tree, kernel, scheduler)
  const multipathd = createMultipathd(tree, kernel, udev, scheduler, settings)
  const records = createRecords(tree)
  const iscsid = createIscsid(kernel, array, scheduler)
  Object.assign(iscsid.timing, timing)
  plantXenHost(tree, iscsid)
  const xenstore = createXenstoreModel()
  const xenstored = createXenstored(xenstore)
  const flock = createFlockProgram(scheduler)
  return {
    tree,
    scheduler,
    kernel,
    proc,
    multipathd,
    iscsid,
    xenstore,
    xenstored,
    xen: createXen({ tree, kernel, proc, xenstore }),
    flock,
    daemons: { iscsid, multipathd, xenstored },
    programs: {
      iscsiadm: createIscsiadmProgram({ tree, array, kernel, records, iscsid, scheduler }),
      multipathd: createMultipathdProgram(multipathd, scheduler),
      multipath: createMultipathProgram(multipathd, kernel, scheduler),
      dmsetup: createDmsetupProgram(kernel, scheduler),
      flock,
      ...createXenstorePrograms(xenstore, () => xenstored.isRunning(), scheduler),
    },
    end: () => lifetime.end(),
  }
}
