import { invalid } from '../core/check.ts'
import type { Files } from '../host/files.ts'
import type { AttachRequest } from '../lun/request.ts'
import { type ConfigObject, checkMembers, parseConfig } from './config-file.ts'
import { readTrusted } from './trusted-file.ts'

const FOLDER = '/etc/xen-lun'

const MEMBERS: Readonly<Record<keyof AttachRequest, true>> = {
  target: true,
  lun: true,
  portals: true,
  discovery: true,
  ifaces: true,
  chap: true,
  multipath: true,
  paths: true,
  expected: true,
  sharing: true,
  loginTimeoutMs: true,
}
const NESTED: readonly (readonly [keyof AttachRequest, readonly string[]])[] = [
  ['chap', ['username', 'password', 'mutual']],
  ['paths', ['wanted', 'min', 'graceMs']],
  ['expected', ['wwid', 'serial', 'sizeBytes']],
]

/**
 * Reads `/etc/xen-lun/ALIAS.json`: an {@link AttachRequest} as JSON. The place for CHAP, since the guest can read the disk
 * line; so nobody but root may read the file.
 *
 * @throws {@link LunError} `INVALID_INPUT`, without anything of what the file holds but names of members
 */
export async function readAlias(files: Files, alias: string): Promise<AttachRequest> {
  const path = `${FOLDER}/${alias}.json`
  const text = await readTrusted(files, path, { isSecret: true })
  if (text === undefined) throw invalid('target', alias, `is neither an iSCSI name nor an alias: there is no ${path}`)
  const value = parseConfig(text, path, Object.keys(MEMBERS))
  for (const [name, known] of NESTED) checkNested(value, name, path, known)
  if (isWithMutual(value['chap'])) checkNested(value['chap'], 'mutual', `${path}: chap`, ['username', 'password'])
  // The values are checked, whatever they are, where every request is: before anything is touched.
  return value as unknown as AttachRequest
}

function checkNested(value: ConfigObject, name: string, where: string, known: readonly string[]): void {
  if (value[name] !== undefined) checkMembers(value[name], `${where}: ${name}`, known)
}

function isWithMutual(chap: unknown): chap is ConfigObject {
  return typeof chap === 'object' && chap !== null && 'mutual' in chap
}
