import type { Files } from '../host/files.ts'

/** Major, minor, patch. */
export type XenVersion = readonly [number, number, number]

const FOLDER = '/sys/hypervisor/version'

/** Linux Documentation/ABI/stable/sysfs-hypervisor-xen; `extra` is `.4`, `.0-rc3`, `-unstable`, … */
export async function readXenVersion(files: Files): Promise<XenVersion | undefined> {
  const [major, minor, extra = ''] = await Promise.all(
    ['major', 'minor', 'extra'].map(async name => (await files.read(`${FOLDER}/${name}`))?.trim())
  )
  if (!isNumber(major) || !isNumber(minor)) return undefined
  return [Number(major), Number(minor), Number(/^\.(\d{1,4})/.exec(extra)?.[1] ?? 0)]
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,4}$/.test(text)
}

export function isOlder(version: XenVersion, than: XenVersion): boolean {
  const at = version.findIndex((part, n) => part !== than[n])
  return at >= 0 && (version[at] ?? 0) < (than[at] ?? 0)
}

/** From the first on, up to but not including the second. */
export function isIn(version: XenVersion, [from, to]: readonly [XenVersion, XenVersion]): boolean {
  return !isOlder(version, from) && isOlder(version, to)
}

export function formatVersion(version: XenVersion): string {
  return version.join('.')
}
