import { invalid } from '../core/check.ts'
import { Secret } from '../core/secret.ts'

/** Settings of a record by open-iscsi's own names; the empty text takes a setting out. */
export type RecordSettings = Readonly<Record<string, string | Secret>>

const MAX_BYTES = 255 // open-iscsi 2.1.11 cuts longer values without a word (VALUE_MAXVAL)
const NAME = /^[a-z][\w.[\]]{0,126}$/

// What finds a record in the database; changing it would make it another record.
const IDENTITY = new Set([
  'node.name',
  'node.tpgt',
  'node.conn[0].address',
  'node.conn[0].port',
  'iface.iscsi_ifacename',
  'discovery.type',
  'discovery.sendtargets.address',
  'discovery.sendtargets.port',
])

// Known to every open-iscsi since 2.0.874. A name it does not know makes each later `iscsiadm -m node` fail.
const ADDABLE = new Set([
  'node.startup',
  'node.conn[0].startup',
  'node.session.scan',
  'node.session.initial_login_retry_max',
  'node.session.nr_sessions',
  'node.session.timeo.replacement_timeout',
  'node.conn[0].timeo.login_timeout',
  'node.conn[0].timeo.logout_timeout',
  'node.conn[0].timeo.noop_out_interval',
  'node.conn[0].timeo.noop_out_timeout',
  ...['node.session.auth', 'discovery.sendtargets.auth'].flatMap(prefix =>
    ['authmethod', 'username', 'password', 'username_in', 'password_in'].map(name => `${prefix}.${name}`)
  ),
])

/** Whether a setting holds a secret: these go into a record's file, never into an argv. */
export function isSecretSetting(name: string): boolean {
  return /password/i.test(name)
}

/** Checks the name of a setting a caller wants to change. @throws {@link LunError} `INVALID_INPUT` */
export function checkSettingName(name: string): string {
  if (!NAME.test(name)) throw invalid('settings', name, 'is not the name of a setting')
  if (IDENTITY.has(name)) throw invalid('settings', name, 'identifies the record and cannot be changed')
  return name
}

/** Whether a record that lacks `name` may get it. */
export function isAddable(name: string): boolean {
  return ADDABLE.has(name)
}

/**
 * Checks a value: one line that reads back as it was written. The empty text stands for no value.
 *
 * @throws {@link LunError} `INVALID_INPUT`, naming the setting and never the secret
 */
export function checkSettingValue(name: string, value: string | Secret, field: string = `settings.${name}`): string {
  const text = value instanceof Secret ? value.reveal() : value
  // Whatever a secret setting holds is kept out of the message.
  const shown = isSecretSetting(name) || value instanceof Secret ? '***' : text
  if (typeof text !== 'string') throw invalid(field, shown, 'is not a text')
  if (/[\0\r\n]/.test(text)) throw invalid(field, shown, 'holds a line break or NUL')
  if (/^[ \t\v\f]|[ \t\v\f]$/.test(text)) throw invalid(field, shown, 'begins or ends with a blank')
  if (text === '<empty>') throw invalid(field, shown, 'is how open-iscsi prints no value')
  if (new TextEncoder().encode(text).length > MAX_BYTES)
    throw invalid(field, shown, `is longer than ${MAX_BYTES} bytes`)
  return text
}
