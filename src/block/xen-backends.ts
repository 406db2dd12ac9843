import type { Files } from '../host/files.ts'

/** A block backend of this domain's kernel, xen-blkback, and the device it serves. */
export interface XenBackend {
  /** `vbd-3-51712`: the guest's domain and the device's number there. */
  readonly name: string
  readonly domid: number
  readonly major: number
  readonly minor: number
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

async function readBackend(files: Files, name: string): Promise<XenBackend | undefined> {
  const attribute = async (file: string): Promise<string | undefined> =>
    (await files.read(`${FOLDER}/${name}/${file}`).catch(() => undefined))?.trim()
  const [number = '', state, mode] = await Promise.all([
    attribute('physical_device'),
    attribute('state'),
    attribute('mode'),
  ])
  const [, domid] = /^vbd-(\d+)-\d+$/.exec(name) ?? []
  const [, major, minor] = /^([0-9a-f]{1,8}):([0-9a-f]{1,8})$/i.exec(number) ?? []
  if (domid === undefined || major === undefined || minor === undefined) return undefined
  return {
    name,
    domid: Number(domid),
    major: Number.parseInt(major, 16),
    minor: Number.parseInt(minor, 16),
    state,
    mode,
  }
}
