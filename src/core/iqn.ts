import type { Brand } from './brand.ts'
import { invalid } from './check.ts'

/** An iSCSI name: `iqn.…`, `eui.…` or `naa.…`, in lower case (RFC 3722 folds case). */
export type Iqn = Brand<string, 'Iqn'>

const MAX_BYTES = 223 // RFC 7143 4.2.7.1
const NAME =
  /^(?:iqn\.\d{4}-\d{2}\.[a-z0-9][a-z0-9.-]*(?::[a-z0-9._:-]+)?|eui\.[0-9a-f]{16}|naa\.[0-9a-f]{16}(?:[0-9a-f]{16})?)$/

/**
 * Checks and normalises an iSCSI name. A branded name is safe as an argument and as a folder name.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 * @example
 * ```ts
 * import { iqn } from 'xen-lun'
 *
 * iqn('IQN.2001-05.com.equallogic:0-8a0906-vm1') // 'iqn.2001-05.com.equallogic:0-8a0906-vm1'
 * ```
 */
export function iqn(text: string, field = 'target'): Iqn {
  const name = readIqn(text)
  if (name !== undefined) return name
  const isLong = typeof text === 'string' && text.length > MAX_BYTES
  throw invalid(field, text, isLong ? `is longer than the ${MAX_BYTES} bytes of an iSCSI name` : 'is not an iSCSI name')
}

/** The iSCSI name a text holds; `undefined` if it is none. An error for each would take long in a long listing. */
export function readIqn(text: string): Iqn | undefined {
  if (typeof text !== 'string' || text.length > MAX_BYTES) return undefined
  const name = text.toLowerCase()
  return NAME.test(name) && !name.includes('..') ? (name as Iqn) : undefined
}
