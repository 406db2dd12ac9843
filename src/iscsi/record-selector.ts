import { invalid } from '../core/check.ts'
import type { Iqn } from '../core/iqn.ts'
import { formatPortal, type Portal } from '../core/portal.ts'
import { ifaceName } from './iface-name.ts'
import { checkSettingName, checkSettingValue, isSecretSetting } from './record-settings.ts'

/** Node records: all of a target, or those of one portal, or of one interface. */
export interface RecordSelector {
  readonly target: Iqn
  readonly portal?: Portal | undefined
  readonly iface?: string | undefined
}

/** The arguments that select. @throws {@link LunError} `INVALID_INPUT` */
export function selectorArgs({ target, portal, iface }: RecordSelector): readonly string[] {
  return ['-T', target, ...(portal === undefined ? [] : ['-p', formatPortal(portal)]), ...ifaceArgs(iface)]
}

/** `-I NAME`, or nothing. @throws {@link LunError} `INVALID_INPUT` */
export function ifaceArgs(iface: string | undefined): readonly string[] {
  return iface === undefined ? [] : ['-I', ifaceName(iface)]
}

/**
 * `-n NAME -v VALUE` for each setting.
 *
 * @throws {@link LunError} `INVALID_INPUT`, also for a secret: everybody can read an argv, see `NodeDb.update`
 */
export function settingArgs(settings: Readonly<Record<string, string>>): readonly string[] {
  const pairs = Object.entries(settings)
  if (pairs.length === 0) throw invalid('settings', '', 'is empty')
  return pairs.flatMap(([name, value]) => {
    if (isSecretSetting(name))
      throw invalid('settings', name, 'is secret and has no place in an argv: use NodeDb.update')
    return ['-n', checkSettingName(name), '-v', checkSettingValue(name, value)]
  })
}
