import type { Brand } from '../core/brand.ts'
import { invalid } from '../core/check.ts'

/** Name of an open-iscsi interface record (`iscsiadm -m iface`), safe as an argument and as a file name. */
export type IfaceName = Brand<string, 'IfaceName'>

/** The interface every host has: the kernel's own TCP initiator, bound to no network card. */
export const DEFAULT_IFACE = 'default'

const MAX_CHARS = 64 // ISCSI_MAX_IFACE_LEN - 1, open-iscsi include/iscsi_if.h
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/

/**
 * Checks the name of an interface record.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function ifaceName(text: string, field = 'iface'): IfaceName {
  if (typeof text !== 'string' || text.length > MAX_CHARS || !NAME.test(text) || text.includes('..')) {
    throw invalid(field, text, 'is not the name of an iSCSI interface')
  }
  return text as IfaceName
}
