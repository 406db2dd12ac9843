import { invalid } from '../../core/check.ts'
import { LunError } from '../../core/error.ts'
import type { FileStat, Files } from '../../host/files.ts'
import type { OwnFile } from './layout.ts'
import type { InstallStep } from './steps.ts'

/** What became of a file. */
export interface FileOutcome {
  readonly path: string
  readonly outcome: 'placed' | 'updated' | 'unchanged' | 'removed' | 'absent'
}

/** What is at a place: nothing, or a file of ours. */
export type Found = { readonly text: string; readonly mode: number } | undefined

// Below #! and, in a bundle, what the bundler puts there.
const MARKED_LINES = 5

/** Where everything goes; empty for the host itself. @throws {@link LunError} `INVALID_INPUT` */
export function rootOf(prefix: string | undefined): string {
  if (prefix === undefined) return ''
  if (!/^\/[^\0\n]*$/.test(prefix)) throw invalid('prefix', prefix, 'is not an absolute path')
  return prefix.replace(/\/+$/, '')
}

/** @throws {@link LunError} `FOREIGN_FILE` for anything that does not have the marker */
export async function lookAt(files: Files, path: string, marker: string): Promise<Found> {
  const stat = await statFile(files, path)
  if (stat === undefined) return undefined
  const text = (await files.read(path)) ?? ''
  if (!isMarked(text, marker)) throw foreign(path, `was not made by xen-lun: it has no line "${marker}"`)
  return { text, mode: stat.mode }
}

/** @throws {@link LunError} `FOREIGN_FILE` for anything but a file or nothing */
export async function statFile(files: Files, path: string): Promise<FileStat | undefined> {
  const stat = await files.stat(path)
  if (stat === undefined) {
    const [, folder = '', name = ''] = /^(.*)\/([^/]+)$/.exec(path) ?? []
    if ((await files.list(folder)).includes(name)) throw foreign(path, 'is a link that leads nowhere')
    return undefined
  }
  if (stat.kind !== 'file') throw foreign(path, 'is no file')
  return stat
}

export function isMarked(text: string, marker: string): boolean {
  return text.split('\n', MARKED_LINES).includes(marker)
}

/** Writes a file, unless it is there as it should be. */
export function placing(
  files: Files,
  { path, text, mode }: OwnFile,
  found: Found
): { readonly outcome: FileOutcome; readonly steps: readonly InstallStep[] } {
  if (found?.text === text && found.mode === mode) return { outcome: { path, outcome: 'unchanged' }, steps: [] }
  const write = async (): Promise<void> => {
    const folder = path.slice(0, path.lastIndexOf('/'))
    if ((await files.stat(folder)) === undefined) await files.makeDirectory(folder, 0o755)
    await files.replace(path, text, mode)
  }
  const outcome = found === undefined ? 'placed' : 'updated'
  return { outcome: { path, outcome }, steps: [{ name: `write ${path}`, run: write }] }
}

/** Removes a file of ours, if it is there. */
export function removing(
  files: Files,
  path: string,
  found: Found
): { readonly outcome: FileOutcome; readonly steps: readonly InstallStep[] } {
  if (found === undefined) return { outcome: { path, outcome: 'absent' }, steps: [] }
  const remove = async (): Promise<boolean> => await files.remove(path)
  return { outcome: { path, outcome: 'removed' }, steps: [{ name: `remove ${path}`, run: remove }] }
}

export function foreign(path: string, reason: string): LunError<'FOREIGN_FILE'> {
  return new LunError('FOREIGN_FILE', `${path} ${reason}`, { path, reason })
}
