import { isIP as nodeIsIP } from 'node:net'
import { inspect } from 'node:util'
import { formatHctl, type Hctl } from '../../src/core/hctl.ts'
import { formatPortal, type Portal } from '../../src/core/portal.ts'
import { readPortalName } from '../../src/iscsi/address.ts'

/** Fails unless `isSo`. Unlike `expect` it is cheap enough for every item of a megabyte. */
export function ensure(isSo: boolean, what: string, value?: unknown): void {
  if (!isSo) throw new Error(`${what}: ${inspect(value, { maxStringLength: 200, maxArrayLength: 5, depth: 3 })}`)
}

export function ensureFilled(value: unknown, what: string): void {
  ensure(typeof value === 'string' && value !== '', `${what} is an empty text or none`, value)
}

export function ensureFilledOrUnknown(value: unknown, what: string): void {
  if (value !== undefined) ensureFilled(value, what)
}

export function ensureInteger(value: unknown, what: string, min = 0, max = Number.MAX_SAFE_INTEGER): void {
  const isInside = Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
  ensure(isInside, `${what} is no integer from ${min} to ${max}`, value)
}

export function ensureIntegerOrUnknown(value: unknown, what: string, min?: number, max?: number): void {
  if (value !== undefined) ensureInteger(value, what, min, max)
}

export function ensureOneOf(value: unknown, words: readonly unknown[], what: string): void {
  ensure(words.includes(value), `${what} is none of ${words.join(', ')}`, value)
}

const IQN = /^(?:iqn\.\d{4}-\d\d\.[a-z0-9.-]+(?::[a-z0-9._:-]+)?|(?:eui|naa)\.[0-9a-f]{16}|naa\.[0-9a-f]{32})$/
// What the host says: names that DNS would not have, and addresses with a zone.
const NAME = /^(?![\d.]+$)[a-z0-9_][a-z0-9_.-]*$/
const ZONE = /%[!-~]+$/

export function ensureIqn(name: string): void {
  ensure(IQN.test(name) && !name.includes('..') && name.length <= 223, 'is no iSCSI name in lower case', name)
}

export function ensurePortal({ host, port }: Portal): void {
  ensureInteger(port, 'port', 1, 65_535)
  const isName = host.length <= 255 && NAME.test(host)
  const address = host.replace(ZONE, '')
  ensure(address === address.toLowerCase() && (nodeIsIP(address) !== 0 || isName), 'is no host', host)
  const again = readPortalName(formatPortal({ host, port }))
  ensure(again?.host === host && again.port === port, 'does not read back', { host, port })
}

export function ensureHctl({ host, channel, target, lun }: Hctl): void {
  ensure(
    [host, channel, target, lun].every(n => Number.isInteger(n) && n >= 0),
    'is no address',
    { host, lun }
  )
  ensure(/^\d+:\d+:\d+:\d+$/.test(formatHctl({ host, channel, target, lun })), 'does not format', { host, lun })
}
