import { type Iqn, readIqn } from '../core/iqn.ts'
import type { Portal } from '../core/portal.ts'
import { readPortal, readTpgt } from './address.ts'
import { DEFAULT_IFACE } from './iface-name.ts'
import { linesOf, unexpected } from './lines.ts'
import { isSecretSetting } from './record-settings.ts'

/** What a node record says: how to log in to one portal of a target through one interface. */
export interface NodeConfig {
  readonly target: Iqn
  readonly portal: Portal
  /** Target portal group tag; missing when it is not known. */
  readonly tpgt?: number | undefined
  /** Name of the interface record: `default`. */
  readonly iface: string
  /** `node.startup`: `manual`, `automatic` (login at boot) or `onboot`. */
  readonly startup?: string | undefined
  /** `node.session.scan`: `auto` (all LUNs of the target appear after login) or `manual`. */
  readonly scan?: string | undefined
  /** `node.session.auth.authmethod`: `None` or `CHAP`. CHAP is used whenever there is a username, too. */
  readonly authMethod?: string | undefined
  readonly username?: string | undefined
  readonly mutualUsername?: string | undefined
  /** `node.conn[0].timeo.login_timeout`: seconds one try may take. */
  readonly loginTimeoutS?: number | undefined
  /** `node.session.initial_login_retry_max`: tries of the first login. */
  readonly loginRetries?: number | undefined
  /** `node.session.timeo.replacement_timeout`: seconds until I/O of a lost session fails. */
  readonly replacementTimeoutS?: number | undefined
  /** Everything the record holds, by open-iscsi's names, except secrets and empty values. */
  readonly settings: ReadonlyMap<string, string>
}

/** Settings by name, and the line each stands in, from 1. */
export interface RecordText {
  readonly settings: ReadonlyMap<string, string>
  /** Why this is no whole record. */
  readonly flaw?: { readonly line: number; readonly reason: string }
}

export const RECORD_BEGIN = '# BEGIN RECORD'
export const RECORD_END = '# END RECORD'
// Blanks are those of C's isspace(): a no-break space or U+2028 belongs to a value.
/** The reason of a file without anything in it. */
export const IS_EMPTY = 'is empty'
const SETTING = /^([^ \t\v\f\r=]+)[ \t\v\f\r]*=[ \t\v\f\r]*([^]*)$/
const BLANKS = /^[ \t\v\f\r]+|(?<![ \t\v\f\r])[ \t\v\f\r]+$/g

/** A line `name = value`; `undefined` for a comment, a blank line, or one that is no setting. */
export function readSettingLine(raw: string): { readonly name: string; readonly value: string } | undefined {
  const line = raw.replaceAll(BLANKS, '')
  if (line.startsWith('#')) return undefined
  const [, name, value = ''] = SETTING.exec(line) ?? []
  return name === undefined ? undefined : { name, value }
}

/**
 * Reads one record file the way open-iscsi does (usr/idbm.c): blank lines and comments are skipped, a setting without
 * value counts as absent. iscsiadm rewrites records in place, so one that does not reach its end is a flaw.
 */
export function readRecordText(text: string): RecordText {
  const settings = new Map<string, string>()
  const flawed = (line: number, reason: string): RecordText => ({ settings, flaw: { line, reason } })
  const lines = linesOf(text)
  if (text.trim() === '') return flawed(1, IS_EMPTY)
  const isCut = lines.some(line => line.startsWith(RECORD_BEGIN)) && !lines.some(line => line.startsWith(RECORD_END))
  // A whole record needs no last line break: iscsiadm takes it as it is.
  if (isCut && !text.endsWith('\n')) return flawed(lines.length, 'ends in the middle of a line')
  for (const [n, raw] of lines.entries()) {
    if (/^[ \t\v\f\r]*(?:#|$)/.test(raw)) continue
    const setting = readSettingLine(raw)
    if (setting === undefined) return flawed(n + 1, 'is no setting')
    if (isSet(setting.value)) settings.set(setting.name, setting.value)
  }
  if (isCut) return flawed(lines.length, 'is cut off before its end')
  if (settings.size === 0) return flawed(lines.length, 'holds no setting')
  return { settings }
}

function isSet(value: string): boolean {
  return value !== '' && value !== '<empty>'
}

/** What the settings of a node record say, or the reason why they are none. */
export function readNodeConfig(all: ReadonlyMap<string, string>): NodeConfig | string {
  const target = readIqn(all.get('node.name') ?? '')
  if (target === undefined) return 'holds no iSCSI name in node.name'
  const portal = readPortal(all.get('node.conn[0].address') ?? '', all.get('node.conn[0].port') ?? '')
  if (portal === undefined) return 'holds no portal in node.conn[0].address and node.conn[0].port'
  return {
    target,
    portal,
    tpgt: readTpgt(all.get('node.tpgt') ?? ''),
    iface: all.get('iface.iscsi_ifacename') ?? DEFAULT_IFACE,
    startup: all.get('node.startup'),
    scan: all.get('node.session.scan'),
    authMethod: all.get('node.session.auth.authmethod'),
    username: all.get('node.session.auth.username'),
    mutualUsername: all.get('node.session.auth.username_in'),
    loginTimeoutS: toNumber(all.get('node.conn[0].timeo.login_timeout')),
    loginRetries: toNumber(all.get('node.session.initial_login_retry_max')),
    replacementTimeoutS: toNumber(all.get('node.session.timeo.replacement_timeout')),
    settings: withoutSecrets(all),
  }
}

function toNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** All settings but secrets. */
export function withoutSecrets(settings: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...settings].filter(([name]) => !isSecretSetting(name)))
}

/**
 * Reads what `iscsiadm -m node -o show` prints: records between `# BEGIN RECORD` and `# END RECORD`.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT`
 */
export function parseNodeRecords(text: string, tool: string): readonly NodeConfig[] {
  const configs: NodeConfig[] = []
  let block: { readonly line: number; readonly settings: Map<string, string> } | undefined
  for (const [n, line] of linesOf(text).entries()) {
    if (line.startsWith(RECORD_BEGIN) && block === undefined) block = { line: n + 1, settings: new Map() }
    else if (line.startsWith(RECORD_END) && block !== undefined) {
      const config = readNodeConfig(block.settings)
      if (typeof config === 'string') throw unexpected(tool, block.line, line, config)
      configs.push(config)
      block = undefined
    } else if (line !== '') {
      const setting = readSettingLine(line)
      if (setting === undefined || block === undefined) throw unexpected(tool, n + 1, line, 'is outside a record')
      if (isSet(setting.value)) block.settings.set(setting.name, setting.value)
    }
  }
  if (block !== undefined) throw unexpected(tool, block.line, RECORD_BEGIN, 'begins a record without an end')
  return configs
}
