import type { Files } from '../host/files.ts'
import { toWwid } from './identity.parse.ts'

/** What a block device consists of, all the way down. */
export interface Stack {
  /** The kernel's names of itself, of the disk it is a part of, and of everything it lies on. */
  readonly names: ReadonlySet<string>
  /** The volumes of the array among them: those of SCSI disks, and of multipath maps, which need no path for it. */
  readonly wwids: ReadonlySet<string>
}

/** What to look for in a {@link Stack}: a volume without a WWID has its devices only. */
export interface VolumeOnHost {
  readonly wwid: string | undefined
  /** Disks and maps. */
  readonly names: readonly string[]
}

/**
 * Takes a device number apart: a partition into its disk, a device-mapper or md device into what it lies on, a loop device
 * into the device behind it. Empty where there is no such device (any more).
 */
export async function findStack(
  files: Files,
  { major, minor }: { readonly major: number; readonly minor: number }
): Promise<Stack> {
  const stack = { names: new Set<string>(), wwids: new Set<string>() }
  await descend(files, await files.realpath(`/sys/dev/block/${major}:${minor}`), stack)
  return stack
}

/** Whether a device lies on a volume, or on a part of it. */
export function liesOn({ names, wwids }: Stack, volume: VolumeOnHost): boolean {
  return (volume.wwid !== undefined && wwids.has(volume.wwid)) || volume.names.some(name => names.has(name))
}

/** The WWID of a disk as the kernel knows it. */
export async function diskWwid(files: Files, disk: string): Promise<string | undefined> {
  return toWwid((await files.read(`/sys/block/${disk}/device/wwid`))?.trim())
}

// kpartx, and multipathd's udev rules, prefix a map's uuid for its partitions.
const MULTIPATH = /^(?:part\d+-)?mpath-(.+)$/

async function descend(
  files: Files,
  folder: string | undefined,
  stack: { readonly names: Set<string>; readonly wwids: Set<string> }
): Promise<void> {
  if (folder === undefined) return
  const at = folder.lastIndexOf('/')
  const name = folder.slice(at + 1)
  if (stack.names.has(name)) return
  stack.names.add(name)
  const isOf = (kind: string): boolean => name.startsWith(kind)
  const [partition, uuid, wwid, slaves, backing] = await Promise.all([
    files.read(`${folder}/partition`),
    isOf('dm-') ? files.read(`${folder}/dm/uuid`) : undefined,
    isOf('dm-') ? undefined : diskWwid(files, name),
    files.list(`${folder}/slaves`),
    isOf('loop') ? files.read(`${folder}/loop/backing_file`) : undefined,
  ])
  const [, mapped] = MULTIPATH.exec(uuid?.trim() ?? '') ?? []
  for (const found of [mapped, wwid]) if (found !== undefined) stack.wwids.add(found)
  const below = [
    ...(partition === undefined ? [] : [folder.slice(0, at)]),
    ...(await Promise.all(slaves.map(async slave => await files.realpath(`${folder}/slaves/${slave}`)))),
    await deviceFolder(files, backing?.trim()),
  ]
  for (const next of below) await descend(files, next, stack)
}

// What is not in /dev is a file, perhaps of a server that does not answer.
async function deviceFolder(files: Files, path: string | undefined): Promise<string | undefined> {
  if (path?.startsWith('/dev/') !== true) return undefined
  const stat = await files.stat(path)
  if (stat?.kind !== 'block') return undefined
  return await files.realpath(`/sys/dev/block/${stat.device.major}:${stat.device.minor}`)
}
