import { integer, invalid } from './check.ts'

// Numbers as libxl makes them: tools/libs/light/libxl_device.c, libxl__device_disk_dev_number();
// docs/man/xen-vbd-interface.7.
const MAX_NUMBER = 0x7fff_ffff
const MAX_XVD_DISK = (1 << 20) - 1
const EXTENDED = 1 << 28
const XVD = 202
const SD = 8
const HD = [3, 22] as const
const NAME = /^(xvd|sd|hd)([a-z]{1,5})([1-9]\d{0,2})?$/
const BY_NUMBERS = /^d(\d{1,7})p(\d{1,3})$/

/**
 * The number Xen gives a guest's disk: of a name (`xvda`, `xvda1`, `sdb`, `hdc2`), of `d0p1` (disk 0, partition 1), or of
 * a number, as it is. Every `xvd` has a number of its own, up to `xvd` with partition 255; what does not fit into the old
 * numbers has an extended one.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 * @example
 * ```ts
 * import { vdevName, vdevNumber } from 'xen-lun'
 *
 * vdevNumber('xvda') // 51712
 * vdevName(51728) // 'xvdb'
 * ```
 */
export function vdevNumber(vdev: string | number, field = 'vdev'): number {
  if (typeof vdev === 'number') return integer(vdev, field, 0, MAX_NUMBER)
  const found = typeof vdev === 'string' ? readVdev(vdev) : undefined
  if (found === undefined) throw invalid(field, vdev, 'is not a virtual disk such as xvda, xvda1, sda, hda or 51712')
  return found
}

function readVdev(text: string): number | undefined {
  if (/^(?:0|[1-9]\d{0,9})$/.test(text)) return Number(text) <= MAX_NUMBER ? Number(text) : undefined
  const [, byDisk, byPartition] = BY_NUMBERS.exec(text) ?? []
  if (byDisk !== undefined) return numberOf('xvd', Number(byDisk), Number(byPartition))
  const [, kind, letters = '', partition = '0'] = NAME.exec(text) ?? []
  return kind === undefined ? undefined : numberOf(kind, toIndex(letters), Number(partition))
}

function numberOf(kind: string, disk: number, partition: number): number | undefined {
  const fits = (maxDisk: number, maxPartition: number): boolean => disk <= maxDisk && partition <= maxPartition
  if (kind === 'xvd') {
    if (fits(15, 15)) return (XVD << 8) | (disk << 4) | partition
    return fits(MAX_XVD_DISK, 255) ? EXTENDED + (disk << 8) + partition : undefined
  }
  if (kind === 'sd') return fits(15, 15) ? (SD << 8) | (disk << 4) | partition : undefined
  return fits(3, 63) ? (HD[disk < 2 ? 0 : 1] << 8) | ((disk & 1) << 6) | partition : undefined
}

/** The name of a disk by its number, `xvda1`; the number itself, as text, where no name leads to it. */
export function vdevName(number: number): string {
  const name = nameOf(number)
  return name !== undefined && readVdev(name) === number ? name : String(number)
}

function nameOf(number: number): string | undefined {
  const [major, minor] = [number >>> 8, number & 0xff]
  const name = (kind: string, disk: number, partition: number): string =>
    `${kind}${toLetters(disk)}${partition === 0 ? '' : partition}`
  if (number >= EXTENDED) return name('xvd', (number - EXTENDED) >>> 8, minor)
  if (major === XVD) return name('xvd', minor >> 4, minor & 15)
  if (major === SD) return name('sd', minor >> 4, minor & 15)
  const pair = HD.findIndex(each => each === major)
  return pair < 0 ? undefined : name('hd', 2 * pair + (minor >> 6), minor & 63)
}

/** `a` is 0, `z` 25, `aa` 26. */
function toIndex(letters: string): number {
  return Array.from(letters).reduce((index, letter) => 26 * (index + 1) + letter.charCodeAt(0) - 97, -1)
}

function toLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26))
  return index < 26 ? last : `${toLetters(Math.floor(index / 26) - 1)}${last}`
}
