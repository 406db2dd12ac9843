import type { Files } from '../host/files.ts'
import { readBlockDevice } from './block-device.ts'
import { toWwid } from './identity.parse.ts'

/**
 * The WWID of the volume behind a device number: a multipath map's, a partition map's, or a SCSI disk's. What is stacked
 * otherwise (LVM, crypt) is no volume of the array.
 */
export async function volumeOf(
  files: Files,
  { major, minor }: { readonly major: number; readonly minor: number }
): Promise<string | undefined> {
  for (const name of await files.list('/sys/block')) {
    if ((await files.read(`/sys/block/${name}/dev`))?.trim() !== `${major}:${minor}`) continue
    const uuid = (await readBlockDevice(files, name))?.dm?.uuid
    const [, wwid] = /^(?:part\d+-)?mpath-(.+)$/.exec(uuid ?? '') ?? []
    return wwid ?? toWwid((await files.read(`/sys/block/${name}/device/wwid`))?.trim())
  }
  return undefined
}
