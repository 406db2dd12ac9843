import { fields, integer, invalid, milliseconds } from '../core/check.ts'
import { type Iqn, iqn } from '../core/iqn.ts'
import { lunNumber } from '../core/lun-number.ts'
import { formatPortal, type Portal, portal } from '../core/portal.ts'
import { Secret } from '../core/secret.ts'
import { type Wwid, wwid } from '../core/wwid.ts'
import { type Chap, checkChap } from '../iscsi/chap.ts'
import { ifaceName } from '../iscsi/iface-name.ts'

/** Which LUN. */
export interface LunAddress {
  /** The target's iSCSI name: `iqn.…`, `eui.…` or `naa.…`. */
  readonly target: string
  /** LUN number, 0 to 16383. Default 0. */
  readonly lun?: number | undefined
}

/** What to attach, and how. */
export interface AttachRequest extends LunAddress {
  /**
   * Where the target listens: `10.0.1.1`, `10.0.1.1:3260`, `[fd00::1]`. Without portals and without
   * `discovery`, those of the node database are taken.
   */
  readonly portals?: readonly string[] | undefined
  /** Asks this portal (SendTargets) where the target listens, leaving no record behind. */
  readonly discovery?: string | undefined
  /** open-iscsi interfaces to log in through; each portal through each interface is a path. Default `default`. */
  readonly ifaces?: readonly string[] | undefined
  /** Credentials; a password as plain text is wrapped at once. */
  readonly chap?: ChapRequest | undefined
  /**
   * `required` (default): a map or an error. `preferred`: one plain path, with a warning, where multipathd
   * does not run or refuses the device. `never`: one plain path.
   */
  readonly multipath?: 'required' | 'preferred' | 'never' | undefined
  /** How many paths to wait for. */
  readonly paths?: PathPolicy | undefined
  /** What the LUN must be; anything else is refused before it is handed over. */
  readonly expected?: { readonly wwid?: string; readonly serial?: string; readonly sizeBytes?: number } | undefined
  /**
   * `refused` (default): not while another domain of this host uses the volume or a part of it, nor for a guest what dom0
   * uses. `allowed` is for those who know that both only read, or that a cluster file system takes care.
   */
  readonly sharing?: 'refused' | 'allowed' | undefined
  /** How long one login may take, rounded up to seconds. Default 5000: an unknown target takes as long as a dead portal. */
  readonly loginTimeoutMs?: number | undefined
}

/** When enough paths are there. */
export interface PathPolicy {
  /** Return as soon as this many are usable. Default: all of them. */
  readonly wanted?: number | undefined
  /** With at least this many, do not wait for portals that do not answer. Default 1. */
  readonly min?: number | undefined
  /** How much longer than the first usable path a portal may take to answer. Default 500. */
  readonly graceMs?: number | undefined
  /** How long missing paths are still tried after the attach returned, while this process lives. Default 120 000. */
  readonly lateMs?: number | undefined
}

/** One-way CHAP, and with `mutual` the target proves itself too. */
export interface ChapRequest {
  readonly username: string
  readonly password: string | Secret
  readonly mutual?: { readonly username: string; readonly password: string | Secret } | undefined
}

/** One portal through one interface: one session, one path. */
export interface Endpoint {
  readonly portal: Portal
  readonly iface: string
}

/** One line per endpoint, for maps, journals and people. */
export function endpointKey({ portal: at, iface }: Endpoint): string {
  return `${formatPortal(at)} ${iface}`
}

/** A request whose every value has been checked, with defaults filled in. */
export interface AttachWish {
  readonly target: Iqn
  readonly lun: number
  readonly source:
    | { readonly kind: 'given'; readonly portals: readonly Portal[] }
    | { readonly kind: 'discovery'; readonly portal: Portal }
    | { readonly kind: 'node-db' }
  readonly ifaces: readonly string[] | undefined
  readonly chap: Chap | undefined
  readonly multipath: 'required' | 'preferred' | 'never'
  readonly paths: {
    readonly wanted: number | undefined
    readonly min: number
    readonly graceMs: number
    readonly lateMs: number
  }
  readonly expected: { readonly wwid?: Wwid; readonly serial?: string; readonly sizeBytes?: number }
  readonly sharing: 'refused' | 'allowed'
  readonly loginTimeoutMs: number
}

const LOGIN_MS = 5000
const GRACE_MS = 500
const LATE_MS = 120_000
const MAX_PATHS = 64
const MAX_SERIAL_CHARS = 252

/** Checks where a LUN is. @throws {@link LunError} `INVALID_INPUT` naming the field */
export function checkAddress(address: LunAddress): { readonly target: Iqn; readonly lun: number } {
  const { target, lun = 0 } = fields(address, 'request')
  return { target: iqn(target), lun: lunNumber(lun) }
}

/** Checks everything before anything is touched. @throws {@link LunError} `INVALID_INPUT` naming the field */
export function checkAttachRequest(request: AttachRequest): AttachWish {
  const { paths = {}, expected = {}, multipath = 'required', sharing = 'refused' } = fields(request, 'request')
  const { loginTimeoutMs = LOGIN_MS } = request
  const { min: least = 1, wanted: most, graceMs = GRACE_MS, lateMs = LATE_MS } = fields(paths, 'paths')
  const min = integer(least, 'paths.min', 1, MAX_PATHS)
  const wanted = most === undefined ? undefined : integer(most, 'paths.wanted', min, MAX_PATHS)
  if (!['required', 'preferred', 'never'].includes(multipath)) {
    throw invalid('multipath', multipath, 'is none of required, preferred, never')
  }
  if (multipath === 'never' && Math.max(min, wanted ?? 1) > 1) {
    throw invalid('paths', wanted ?? min, 'is more than the one path there is without multipath')
  }
  if (sharing !== 'refused' && sharing !== 'allowed') throw invalid('sharing', sharing, 'is none of refused, allowed')
  return {
    ...checkAddress(request),
    sharing,
    source: checkSource(request),
    ifaces: request.ifaces === undefined ? undefined : checkIfaces(request.ifaces),
    chap: request.chap === undefined ? undefined : checkChap(wrapSecrets(request.chap)),
    multipath,
    paths: {
      wanted,
      min,
      graceMs: milliseconds(graceMs, 'paths.graceMs', 0),
      lateMs: milliseconds(lateMs, 'paths.lateMs', 0),
    },
    expected: checkExpected(expected),
    loginTimeoutMs: milliseconds(loginTimeoutMs, 'loginTimeoutMs', 1000),
  }
}

function checkSource({ portals, discovery }: AttachRequest): AttachWish['source'] {
  if (portals !== undefined && discovery !== undefined) {
    throw invalid('discovery', discovery, 'contradicts portals: give one of them')
  }
  if (discovery !== undefined) return { kind: 'discovery', portal: portal(discovery, 'discovery') }
  if (portals === undefined) return { kind: 'node-db' }
  if (!Array.isArray(portals) || portals.length === 0) throw invalid('portals', portals, 'is not a list of portals')
  if (portals.length > MAX_PATHS) throw invalid('portals', portals.length, `is more than ${MAX_PATHS}`)
  // Not by the list's own `map`, which leaves out what is missing in it.
  const checked = Array.from(portals, (text: string, n) => portal(text, `portals[${n}]`))
  const distinct = new Map(checked.map(at => [formatPortal(at), at]))
  return { kind: 'given', portals: [...distinct.values()] }
}

function checkIfaces(names: readonly string[]): readonly string[] {
  if (!Array.isArray(names) || names.length === 0) throw invalid('ifaces', names, 'is not a list of interfaces')
  return [...new Set(Array.from(names, (name: string, n) => ifaceName(name, `ifaces[${n}]`)))]
}

function wrapSecrets(chap: ChapRequest): Chap {
  const { username, password, mutual } = fields(chap, 'chap')
  const own = { username, password: wrap(password) }
  if (mutual === undefined) return own
  fields(mutual, 'chap.mutual')
  return { ...own, mutual: { username: mutual.username, password: wrap(mutual.password) } }
}

function wrap(text: string | Secret): Secret {
  return text instanceof Secret ? text : new Secret(text)
}

/** Checks what a LUN must be. @throws {@link LunError} `INVALID_INPUT` naming the field */
export function checkExpected(expected: NonNullable<AttachRequest['expected']>): AttachWish['expected'] {
  const { serial, sizeBytes } = fields(expected, 'expected')
  if (
    serial !== undefined &&
    (typeof serial !== 'string' || !/^[\x20-\x7e]+$/.test(serial) || serial.length > MAX_SERIAL_CHARS)
  ) {
    throw invalid('expected.serial', serial, 'is not a serial number')
  }
  return {
    ...(expected.wwid !== undefined && { wwid: wwid(expected.wwid, 'expected.wwid') }),
    ...(serial !== undefined && { serial }),
    ...(sizeBytes !== undefined && { sizeBytes: integer(sizeBytes, 'expected.sizeBytes', 1, Number.MAX_SAFE_INTEGER) }),
  }
}
