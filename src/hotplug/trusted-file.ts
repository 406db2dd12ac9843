import { invalid } from '../core/check.ts'
import type { Files } from '../host/files.ts'

const ROOT_UID = 0
const WRITABLE_BY_OTHERS = 0o022
const OPEN_TO_OTHERS = 0o077

/**
 * Reads a file that says what this host is to do as root: which volume a guest gets, whether it may be shared. So nobody but
 * root may be able to write it, nor to put another one in its place: it is root's, as is every folder above it. Where links
 * lead to it that holds for the folders above the link, too. With `isSecret` nobody else may read it either.
 *
 * Undefined where there is no such file. @throws {@link LunError} `INVALID_INPUT`, naming the path at fault
 */
export async function readTrusted(
  files: Files,
  path: string,
  { isSecret = false }: { readonly isSecret?: boolean } = {}
): Promise<string | undefined> {
  const real = await files.realpath(path)
  if (real === undefined) return undefined
  for (const each of new Set([...foldersAbove(path), ...foldersAbove(real), real])) {
    const stat = await files.stat(each)
    // Gone meanwhile, by root's hand.
    if (stat === undefined) return undefined
    if (each === real && stat.kind !== 'file') throw invalid('file', each, 'is no file')
    if (stat.uid !== ROOT_UID) throw invalid('file', each, `belongs to user ${stat.uid}, not to root: chown root it`)
    if (isSecret && each === real && (stat.mode & OPEN_TO_OTHERS) !== 0)
      throw invalid('file', each, 'may be read by others: chmod 600 it')
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0) throw invalid('file', each, 'may be written by others: chmod go-w it')
  }
  return await files.read(real)
}

function foldersAbove(path: string): readonly string[] {
  const names = path.split('/').slice(1, -1)
  return names.map((_, n) => `/${names.slice(0, n + 1).join('/')}`)
}
