import { expect } from 'vitest'
import { type Attachment, type AttachOptions, type AttachRequest, attachLun, detachLun, type Host } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type SimulationOptions } from 'xen-lun/testing'

export const target = 'iqn.2001-05.com.example:vm1'
/** The same array; its LUN 5 is the volume of LUN 0 of {@link target}. */
export const alias = 'iqn.2001-05.com.example:alias'

/** Two domains with different uuids. */
export const VBD_1 = 'backend/vbd/1/51712'
export const VBD_2 = 'backend/vbd/2/51712'

const PORTALS = ['10.0.1.1:3260', '10.0.2.1:3260']

/** LUN 0 and 1 of a target are two volumes, the first of which has another address too; two domains without disks. */
export function createDom0(options: SimulationOptions = {}): SimulatedDom0 {
  const dom0 = createSimulatedDom0({
    volumes: [
      { name: 'v0', sizeMiB: 64 },
      { name: 'v1', sizeMiB: 64 },
    ],
    targets: [
      { iqn: target, luns: { 0: 'v0', 1: 'v1' } },
      { iqn: alias, luns: { 5: 'v0' } },
    ],
    ...options,
  })
  for (const domid of [1, 2]) dom0.xen.addDomain({ domid, name: `guest${domid}`, uuid: uuidOf(domid) })
  return dom0
}

export function uuidOf(domid: number): string {
  return `b2c3d4e5-0000-4000-8000-00000000000${domid}`
}

type With = Pick<SimulatedDom0, 'host'>

/** Attaches LUN 0 unless told otherwise. */
export async function attach(
  { host }: With,
  owner?: string,
  request: Partial<AttachRequest> = {},
  options: AttachOptions = {}
): Promise<Attachment> {
  return await attachLun({ target, portals: PORTALS, ...request }, { host, owner, ...options })
}

/** What a detach answers, as far as owners are concerned. */
export async function detach({ host }: With, owner?: string, lun = 0, of = target): Promise<readonly unknown[]> {
  const { outcome, owners } = await detachLun({ target: of, lun }, { host, owner })
  return [outcome, ...owners]
}

/** What the journal has of the owners of a LUN. */
export async function ownersOf({ files }: Host, lun = 0, of = target): Promise<Readonly<Record<string, unknown>>> {
  const text = await files.read(`/run/xen-lun/luns/${of},${lun}.json`)
  const entry = JSON.parse(text ?? '{}') as { readonly owners?: Record<string, { readonly state: string }> }
  return Object.fromEntries(Object.entries(entry.owners ?? {}).map(([name, { state }]) => [name, state]))
}

/** Expects that `work` changes nothing on the host, journal and order of its parts included. */
export async function expectNoChange<T>(dom0: SimulatedDom0, work: () => Promise<T>): Promise<T> {
  const before = { state: dom0.state(), journal: await journalOf(dom0) }
  const result = await work()
  expect({ state: dom0.state(), journal: await journalOf(dom0) }).toEqual(before)
  return result
}

async function journalOf(dom0: SimulatedDom0): Promise<readonly unknown[]> {
  return await Promise.all(dom0.state().journal.map(async path => await dom0.host.files.read(path)))
}
