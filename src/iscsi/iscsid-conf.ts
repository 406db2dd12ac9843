import type { Files } from '../host/files.ts'
import { linesOf } from './lines.ts'
import { readSettingLine } from './record.parse.ts'

const ISCSID_CONF = '/etc/iscsi/iscsid.conf'

/** What iscsiadm puts into a new record where iscsid.conf says nothing. */
const BUILT_IN: readonly (readonly [string, string])[] = [
  ['node.startup', 'manual'],
  ...['node.session.auth', 'discovery.sendtargets.auth'].flatMap(auth =>
    ['username', 'password', 'username_in', 'password_in'].map(name => [`${auth}.${name}`, ''] as const)
  ),
]

/** Settings that a new record of this host has, as far as they are known; secrets in plain text. */
export async function readRecordDefaults(files: Files): Promise<ReadonlyMap<string, string>> {
  const lines = linesOf((await files.read(ISCSID_CONF)) ?? '')
  const settings = lines.map(readSettingLine).filter(setting => setting !== undefined)
  return new Map([...BUILT_IN, ...settings.map(({ name, value }) => [name, value] as const)])
}
