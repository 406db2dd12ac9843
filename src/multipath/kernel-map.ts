import type { Files } from '../host/files.ts'

const SYS_BLOCK = '/sys/block'

/** Whether the kernel has a multipath map of this name or WWID, whatever multipathd says. */
export async function mapExists(files: Pick<Files, 'list' | 'read'>, name: string): Promise<boolean> {
  for (const device of await files.list(SYS_BLOCK)) {
    if (!device.startsWith('dm-')) continue
    const uuid = (await files.read(`${SYS_BLOCK}/${device}/dm/uuid`))?.trim()
    if (uuid?.startsWith('mpath-') !== true) continue
    if (uuid === `mpath-${name}` || (await files.read(`${SYS_BLOCK}/${device}/dm/name`))?.trim() === name) return true
  }
  return false
}
