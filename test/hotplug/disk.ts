import { createXenstore, type Host } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type SimulationOptions, type XenBackend } from 'xen-lun/testing'
import type { LaterAction } from '../../src/hotplug/action.ts'
import { runScript } from '../../src/hotplug/script.ts'

export const target = 'iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost'
export const PORTALS = ['10.0.1.1:3260', '10.0.2.1:3260'] as const
export const TARGET = `iqn=${target},portal=${PORTALS[0]},portal=${PORTALS[1]}`
/** Of the volumes behind LUN 0 and LUN 3. */
export const WWIDS = { v0: '360014058a0906aaaaaa0001000000000', v1: '360014058a0906aaaaaa0002000000000' } as const
export const BACKEND = 'backend/vbd/1/51712'

const uuidOf = (domid: number): string => `b2c3d4e5-0000-4000-8000-00000000000${domid}`

/** A dom0 with guests 1 and 2, and xvda of guest 1 as the toolstack leaves it to the script. */
export interface DiskWorld {
  readonly dom0: SimulatedDom0
  readonly backend: XenBackend
}

/** Its SAN: LUN 0 is v0, LUN 3 is v1. */
export const diskOptions: SimulationOptions = {
  volumes: [
    { name: 'v0', sizeMiB: 64 },
    { name: 'v1', sizeMiB: 64 },
  ],
  targets: [{ iqn: target, luns: { 0: 'v0', 3: 'v1' } }],
}

export function createDiskWorld(params = TARGET, options: SimulationOptions = {}): DiskWorld {
  return plantDisk(createSimulatedDom0({ ...diskOptions, ...options }), params)
}

export function plantDisk(dom0: SimulatedDom0, params = TARGET): DiskWorld {
  for (const domid of [1, 2]) dom0.xen.addDomain({ domid, name: `guest${domid}`, uuid: uuidOf(domid) })
  return { dom0, backend: dom0.xen.addBackend({ domid: 1, devid: 51712, params }) }
}

/** How one run ended, and what it said on its way. */
export interface Run {
  readonly exitCode: 0 | 1
  readonly log: readonly string[]
  readonly complaints: readonly string[]
  readonly later: readonly LaterAction[]
  /** Something was still running at its end. */
  readonly isAbandoned: boolean
  /** Virtual time. */
  readonly tookMs: number
}

export interface RunOptions {
  readonly host?: Host
  readonly backend?: string
  readonly env?: Readonly<Record<string, string>>
  readonly spentMs?: number
  readonly signal?: AbortSignal
  readonly crash?: Promise<unknown>
}

export async function run(
  dom0: SimulatedDom0,
  args: string | readonly string[],
  options: RunOptions = {}
): Promise<Run> {
  const { host = dom0.host, backend = BACKEND, env = {}, spentMs = 0 } = options
  const { signal = new AbortController().signal, crash = new Promise<unknown>(() => {}) } = options
  const [log, complaints, later]: [string[], string[], LaterAction[]] = [[], [], []]
  const startedMs = host.clock.now()
  let isAbandoned = false
  const exitCode = await runScript(
    { args: typeof args === 'string' ? [args] : args, env: { XENBUS_PATH: backend, ...env }, spentMs },
    {
      host,
      operationId: 'op',
      log: line => log.push(line),
      complain: line => complaints.push(line),
      startLater: action => later.push(action),
      onAbandoned: () => {
        isAbandoned = true
      },
      signal,
      crash,
    }
  )
  return { exitCode, log, complaints, later, isAbandoned, tookMs: host.clock.now() - startedMs }
}

/** What the toolstack and blkback find in the backend directory. */
export async function keysOf({ host }: SimulatedDom0, backend = BACKEND): Promise<Readonly<Record<string, string>>> {
  const xenstore = createXenstore(host)
  const names = ['physical-device', 'physical-device-path', 'hotplug-status', 'hotplug-error']
  const values = await Promise.all(names.map(async name => await xenstore.tryRead(`${backend}/${name}`)))
  return Object.fromEntries(names.flatMap((name, n) => (values[n] === undefined ? [] : [[name, values[n]] as const])))
}

/** What the host holds, apart from the disk that the toolstack has not removed yet. */
export function leftovers(dom0: SimulatedDom0): readonly string[] {
  return dom0.leftovers().filter(line => !line.startsWith('vbds: '))
}
