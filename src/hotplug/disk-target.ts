import { invalid } from '../core/check.ts'
import { iqn } from '../core/iqn.ts'
import type { AttachRequest } from '../lun/request.ts'

/** What the `target=` of a disk line means. */
export type DiskTarget =
  | { readonly kind: 'request'; readonly request: AttachRequest }
  /** A bare iSCSI name: its portals stand elsewhere. */
  | { readonly kind: 'name'; readonly target: string }
  /** A file in `/etc/xen-lun`. */
  | { readonly kind: 'alias'; readonly alias: string }

const KEYS = ['iqn', 'portal', 'iface', 'lun', 'wwid', 'multipath'] as const
type Key = (typeof KEYS)[number]
const MANY: readonly Key[] = ['portal', 'iface']
const CREDENTIALS = /^(?:user|username|pass|password|chap|secret)/i
const ALIAS = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/
const SCHEME = /^(?:iqn|eui|naa)\./i

/**
 * Reads the `target=` of a disk line, which the script finds in the backend's `params`:
 *
 * - `iqn.2001-05.com.example:vm1`: a bare iSCSI name, LUN 0;
 * - `iqn=NAME[,portal=ADDRESS…][,iface=NAME…][,lun=N][,wwid=WWID][,multipath=y|n]`;
 * - `vm1`: an alias, the file `/etc/xen-lun/vm1.json`.
 *
 * Without `multipath=` a map is required, but for one portal, which would do without it in upstream's script, only
 * preferred. The guest can read all of it, so credentials are refused.
 *
 * @throws {@link LunError} `INVALID_INPUT`, without the value where it may be a secret
 */
export function parseDiskTarget(params: string): DiskTarget {
  if (params.includes('=')) return { kind: 'request', request: toRequest(readPairs(params)) }
  if (SCHEME.test(params)) return { kind: 'name', target: iqn(params) }
  if (ALIAS.test(params)) return { kind: 'alias', alias: params }
  throw invalid('target', params, 'is neither an iSCSI name, nor iqn=…,portal=…, nor an alias')
}

type Pairs = Readonly<Partial<Record<Key, readonly string[]>>>

function readPairs(params: string): Pairs {
  const pairs: Partial<Record<Key, string[]>> = {}
  for (const pair of params.split(',')) {
    const at = pair.indexOf('=')
    const name = at < 0 ? pair : pair.slice(0, at)
    if (CREDENTIALS.test(name)) {
      throw invalid('target', name, 'is refused: the guest can read it; put CHAP into a file in /etc/xen-lun')
    }
    const key = KEYS.find(known => known === name)
    if (key === undefined || at < 0) throw invalid('target', pair, `is none of ${KEYS.join('=, ')}=`)
    const values = (pairs[key] ??= [])
    if (values.length > 0 && !MANY.includes(key)) throw invalid('target', pair, 'is given twice')
    values.push(pair.slice(at + 1))
  }
  return pairs
}

function toRequest({
  iqn: [name] = [],
  portal,
  iface,
  lun: [lun] = [],
  wwid: [wwid] = [],
  multipath,
}: Pairs): AttachRequest {
  if (name === undefined) throw invalid('target', '', 'has no iqn=')
  return {
    target: iqn(name),
    ...(portal !== undefined && { portals: portal }),
    ...(iface !== undefined && { ifaces: iface }),
    ...(lun !== undefined && { lun: readNumber(lun) }),
    ...(wwid !== undefined && { expected: { wwid } }),
    multipath: readMultipath(multipath?.[0]) ?? (portal?.length === 1 ? 'preferred' : 'required'),
  }
}

function readNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw invalid('lun', text, 'is not a LUN number')
  return Number(text)
}

function readMultipath(text: string | undefined): AttachRequest['multipath'] {
  if (text === undefined) return undefined
  if (text === 'y') return 'required'
  if (text === 'n') return 'never'
  throw invalid('multipath', text, 'is neither y nor n')
}
