import type { Files } from '../host/files.ts'

/** A block backend of this domain's kernel, xen-blkback, and the device it serves. */
export interface XenBackend {
  /** `vbd-3-51712`: the guest's domain and the device's number there. */
  readonly name: string
  readonly domid: number
  readonly major: number
  readonly minor: number
}

/** What a backend does now. */
export interface BackendStatus {
  /** `Connected`, `Closing`, … as in xenbus_strstate(). */
  readonly state: string | undefined
  /** `r` or `w`. */
  readonly mode: string | undefined
}

const FOLDER = '/sys/bus/xen-backend/devices'

/** Every backend that has its device, from sysfs; xen-blkback shows it as hexadecimal major:minor. */
export async function findXenBackends(files: Files): Promise<readonly XenBackend[]> {
  const names = (await files.list(FOLDER)).filter(name => name.startsWith('vbd-'))
  const found = await Promise.all(names.map(async name => await readBackend(files, name)))
  return found.filter(backend => backend !== undefined)
}

/** What a backend does; nothing of one that is gone. */
export async function readBackendStatus(files: Files, { name }: Pick<XenBackend, 'name'>): Promise<BackendStatus> {
  const [state, mode] = await Promise.all([readAttribute(files, name, 'state'), readAttribute(files, name, 'mode')])
  return { state, mode }
}

async function readAttribute(files: Files, name: string, attribute: string): Promise<string | undefined> {
  return (await files.read(`${FOLDER}/${name}/${attribute}`))?.trim()
}

async function readBackend(files: Files, name: string): Promise<XenBackend | undefined> {
  const number = (await readAttribute(files, name, 'physical_device')) ?? ''
  const [, domid] = /^vbd-(\d+)-\d+$/.exec(name) ?? []
  const [, major, minor] = /^([0-9a-f]{1,8}):([0-9a-f]{1,8})$/i.exec(number) ?? []
  if (domid === undefined || major === undefined || minor === undefined) return undefined
  return { name, domid: Number(domid), major: Number.parseInt(major, 16), minor: Number.parseInt(minor, 16) }
}
