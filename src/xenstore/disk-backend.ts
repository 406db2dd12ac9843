import { printable } from '../core/printable.ts'
import { XENBUS_STATES } from '../core/xenbus-state.ts'
import { xenstoreInvalid } from './errors.ts'
import type { Xenstore } from './types.ts'

/** What xenstore has of the backend of a guest's disk. All of it was written by the backend's domain. */
export interface DiskBackend {
  /** As in xenbus_strstate(): `InitWait`, `Connected`, … */
  readonly state: string | undefined
  /** What the hotplug script made of it: `connected`, `error`, `busy`. */
  readonly hotplugStatus: string | undefined
  /** Why the script failed, fit to be printed. */
  readonly hotplugError: string | undefined
  /** The device that is served. */
  readonly physicalDevice: { readonly major: number; readonly minor: number } | undefined
  readonly physicalDevicePath: string | undefined
}

type Reader = Pick<Xenstore, 'tryRead' | 'exists'>

/** Where the toolstack keeps its own notes of a disk. The guest can write its frontend, but not these (XSA-175). */
export function diskFolder(domid: number, devid: number): string {
  return `/libxl/${domid}/device/vbd/${devid}`
}

/**
 * The path of a disk's backend, in whatever domain it is; undefined while the toolstack knows none.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE`; `XENSTORE_INVALID` for what no toolstack writes
 */
export async function findDiskBackend(
  xenstore: Pick<Xenstore, 'tryRead'>,
  domid: number,
  devid: number
): Promise<string | undefined> {
  const folder = diskFolder(domid, devid)
  const path = await xenstore.tryRead(`${folder}/backend`)
  if (path === undefined || path === '') return undefined
  const [, from, disk] = /^\/local\/domain\/(\d{1,5})\/backend\/\w{1,20}\/(\d{1,5}\/\d{1,10})$/.exec(path) ?? []
  if (from === undefined || disk !== `${domid}/${devid}`) {
    throw xenstoreInvalid(`${folder}/backend`, `is no backend of this disk: ${printable(path)}`)
  }
  return path
}

/**
 * What a backend says of itself; undefined when it is not there.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE`
 */
export async function readDiskBackend(xenstore: Reader, path: string): Promise<DiskBackend | undefined> {
  const [isThere, state, hotplugStatus, hotplugError, number, physicalDevicePath] = await Promise.all([
    xenstore.exists(path),
    ...['state', 'hotplug-status', 'hotplug-error', 'physical-device', 'physical-device-path'].map(
      async name => await xenstore.tryRead(`${path}/${name}`)
    ),
  ])
  return isThere
    ? {
        state: state === undefined ? undefined : (XENBUS_STATES[Number(state)] ?? 'Unknown'),
        hotplugStatus: shown(hotplugStatus),
        hotplugError: shown(hotplugError),
        physicalDevice: parseDeviceNumber(number),
        physicalDevicePath: shown(physicalDevicePath),
      }
    : undefined
}

function shown(text: string | undefined): string | undefined {
  const line = text === undefined ? '' : printable(text)
  return line === '' ? undefined : line
}

/** Hexadecimal major:minor; `0:0` is no device. */
function parseDeviceNumber(text: string | undefined): DiskBackend['physicalDevice'] {
  const [, major, minor] = /^([0-9a-f]{1,8}):([0-9a-f]{1,8})$/i.exec(text ?? '') ?? []
  if (major === undefined || minor === undefined) return undefined
  const number = { major: Number.parseInt(major, 16), minor: Number.parseInt(minor, 16) }
  return number.major === 0 && number.minor === 0 ? undefined : number
}
