import { fields, invalid } from '../core/check.ts'
import { Secret } from '../core/secret.ts'
import { checkSettingValue, type RecordSettings } from './record-settings.ts'

/** One side's proof of who it is. */
export interface ChapCredentials {
  readonly username: string
  readonly password: Secret
}

/** CHAP: what this host proves, and with `mutual` what the target has to prove. */
export interface Chap extends ChapCredentials {
  readonly mutual?: ChapCredentials | undefined
}

/** Whose settings: of the session with a target, or of discovery. */
export type ChapScope = 'node' | 'discovery'

const PREFIX: Record<ChapScope, string> = { node: 'node.session.auth', discovery: 'discovery.sendtargets.auth' }

/** Checks CHAP credentials: open-iscsi keeps 255 bytes of each, on one line. @throws {@link LunError} `INVALID_INPUT` */
export function checkChap(chap: Chap, field = 'chap'): Chap {
  checkCredentials(fields(chap, field), field)
  if (chap.mutual !== undefined) checkCredentials(fields(chap.mutual, `${field}.mutual`), `${field}.mutual`)
  return chap
}

function checkCredentials({ username, password }: ChapCredentials, field: string): void {
  if (typeof username !== 'string' || username === '') throw invalid(`${field}.username`, username, 'is empty')
  if (!(password instanceof Secret)) throw invalid(`${field}.password`, '***', 'is not a Secret')
  if (password.reveal() === '') throw invalid(`${field}.password`, password, 'is empty')
  checkSettingValue('username', username, `${field}.username`)
  checkSettingValue('password', password, `${field}.password`)
}

/**
 * The settings for `NodeDb.update` that make open-iscsi use `chap`, or no CHAP at all. Clearing matters: open-iscsi
 * answers a target's challenge whenever a record holds credentials, whatever its authmethod says.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function chapSettings(chap: Chap | undefined, scope: ChapScope = 'node'): RecordSettings {
  if (chap !== undefined) checkChap(chap)
  const prefix = PREFIX[scope]
  return {
    [`${prefix}.authmethod`]: chap === undefined ? 'None' : 'CHAP',
    [`${prefix}.username`]: chap?.username ?? '',
    [`${prefix}.password`]: chap?.password ?? '',
    [`${prefix}.username_in`]: chap?.mutual?.username ?? '',
    [`${prefix}.password_in`]: chap?.mutual?.password ?? '',
  }
}
