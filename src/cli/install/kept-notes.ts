import type { Files } from '../../host/files.ts'
import type { InstallStep } from './steps.ts'

/** What the library keeps beyond a boot, of records of open-iscsi. It is made when it is needed, and by no installation. */
export const NOTE_FOLDERS: readonly string[] = [
  '/var/lib/xen-lun/records',
  '/var/lib/xen-lun/discoveries',
  '/var/lib/xen-lun',
]

/** How many notes there are, and what removes the folders without any. */
export async function findKeptNotes(
  files: Files,
  root: string
): Promise<{ readonly count: number; readonly steps: readonly InstallStep[] }> {
  const folders = NOTE_FOLDERS.map(folder => `${root}${folder}`)
  const lists = await Promise.all(folders.slice(0, -1).map(async folder => await files.list(folder)))
  const steps = folders.map(folder => ({
    name: `remove ${folder}`,
    // Not while anything is in it.
    run: async () => await files.removeDirectory(folder),
  }))
  return { count: lists.flat().length, steps }
}
