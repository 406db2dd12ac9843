import { type Attachment, attachLun, createMultipath, type MultipathMap } from 'xen-lun'
import {
  createSimulatedDom0,
  type SimulatedDom0,
  type SimulatedUser,
  type SimulationOptions,
  type XenBackend,
} from 'xen-lun/testing'
import { until } from '../../src/flow/until.ts'

export const target = 'iqn.2001-05.com.example:vm1'
export const address = { target, lun: 0 }
export const guest = { domid: 1, name: 'guest', uuid: 'b2c3d4e5-0000-4000-8000-000000000001' }
export const disk = { domid: 1, devid: 51712 }
/** As xenstore has it, relative to dom0's home. */
export const backendPath = 'backend/vbd/1/51712'

/** A host and a SAN with two volumes on one target, and nothing attached. */
export function createDom0(options: SimulationOptions = {}): SimulatedDom0 {
  return createSimulatedDom0({
    volumes: [
      { name: 'v0', sizeMiB: 64 },
      { name: 'v1', sizeMiB: 64 },
    ],
    targets: [{ iqn: target, luns: { 0: 'v0', 1: 'v1' } }],
    ...options,
  })
}

export async function attach(dom0: SimulatedDom0, lun = 0, { host } = dom0, owner?: string): Promise<Attachment> {
  return await attachLun({ target, lun, portals: dom0.san.portals }, { host, ...(owner !== undefined && { owner }) })
}

/** What a call rejected with. */
export async function rejection(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    result => {
      throw new Error(`it was to fail, but answered ${JSON.stringify(result)}`)
    },
    (error: unknown) => error
  )
}

/** How much virtual time a call takes, however it ends. */
export async function virtualMs({ host }: SimulatedDom0, work: Promise<unknown>): Promise<number> {
  const startedMs = host.clock.now()
  await work.catch(() => {})
  return host.clock.now() - startedMs
}

/** A map as multipathd has it. */
export async function mapOf({ host }: SimulatedDom0, name: string): Promise<MultipathMap | undefined> {
  return await createMultipath(host).map(name)
}

/** Both portals fall silent, and everybody has noticed. */
export async function cutAll({ san, host }: SimulatedDom0): Promise<void> {
  for (const portal of san.portals) await san.cutPortal(portal)
  await host.clock.sleep(60_000)
}

/** Runs `work` in a process of its own that is killed as soon as it has started a program whose line matches. */
export async function killAt(
  dom0: SimulatedDom0,
  line: RegExp,
  work: (user: SimulatedUser) => Promise<unknown>
): Promise<void> {
  const user = dom0.startUser()
  const before = dom0.started.length
  work(user).catch(() => {})
  await until(
    dom0.host.clock,
    async () => {
      if (!dom0.started.slice(before).some(each => line.test(each))) return false
      user.kill()
      return true
    },
    { awaited: String(line), timeoutMs: 30_000, everyMs: 1 }
  )
}

/** A guest that has LUN 0, as a toolstack and a block script make it. */
export async function startGuest(dom0: SimulatedDom0): Promise<{ backend: XenBackend; lun: Attachment }> {
  dom0.xen.addDomain(guest)
  const backend = dom0.xen.addBackend({ ...disk, params: target })
  const lun = await attach(dom0, 0, dom0, backendPath)
  return { backend, lun }
}

/** The same host, where xenstore is reached by commands only. */
export function withoutConnection(dom0: SimulatedDom0): SimulatedDom0 {
  const { xenstoreConnect: _, ...host } = dom0.host
  return { ...dom0, host }
}
