import type { Host, XenstoreConnect } from 'xen-lun'
import type { HostState, San } from 'xen-lun/testing'

/** What a scenario has to play with: a dom0 and its SAN, the real ones of the lab or the simulated ones. */
export interface World {
  /** The host under test. */
  readonly host: Host
  readonly san: San
  /** The kernel's device for xenstore, where there is one. */
  readonly xenstoreDevice?: XenstoreConnect
  readonly daemons: { readonly iscsid: Daemon; readonly multipathd: Daemon }
  /** What the host holds now, seen by other means than the library's. */
  snapshot(): Promise<HostState>
  /** Throws an error that lists every session, disk, map, record, WWID, journal file and backend on the host. */
  expectClean(): Promise<void>
  /** Lists the programs the library starts during `action`. */
  traceProcesses<T>(action: () => Promise<T>): Promise<Traced<T>>
  readDevice(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Resolves when the data is on the device. */
  writeDevice(path: string, offset: number, data: Uint8Array): Promise<void>
  /** Keeps a device open, so that it is in use. */
  holdDevice(path: string): Promise<Holder>
}

/** A background daemon of the host. */
export interface Daemon {
  /** Does nothing if it runs. Resolves when clients can talk to it. */
  start(): Promise<void>
  /** Resolves when it is gone. What it made stays. */
  stop(): Promise<void>
}

export interface Traced<T> {
  readonly result: T
  /** Names of programs, in the order in which they were started. */
  readonly executed: readonly string[]
}

export interface Holder {
  readonly pid: number
  release(): Promise<void>
}
