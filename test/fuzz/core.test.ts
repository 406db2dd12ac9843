import { isIP as nodeIsIP, isIPv6 as nodeIsIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/core/decode.ts'
import { formatHctl, parseHctl } from '../../src/core/hctl.ts'
import { isIP, isIPv6 } from '../../src/core/ip.ts'
import { iqn } from '../../src/core/iqn.ts'
import { lunNumber, MAX_LUN } from '../../src/core/lun-number.ts'
import { formatPortal, portal, samePortal } from '../../src/core/portal.ts'
import { wwid } from '../../src/core/wwid.ts'
import { ifaceName } from '../../src/iscsi/iface-name.ts'
import { deviceName, mapName } from '../../src/multipath/names.ts'
import { xenstorePath } from '../../src/xenstore/path.ts'
import { garbage, numeral, printed } from './arbitraries.ts'
import { ensure, ensureHctl, ensureInteger, ensureIqn, ensurePortal } from './checks.ts'
import { outcome, testReader } from './reader.ts'

const INVALID = ['INVALID_INPUT'] as const
const UNEXPECTED = ['UNEXPECTED_OUTPUT'] as const
const NAMES = [
  'iqn.2001-05.com.equallogic:0-8a0906-1-vol1',
  'iqn.2026-01.test.lab:x',
  'eui.02004567a425678d',
  'NAA.52004567ba64678d',
]
const ADDRESSES = ['10.0.0.1', 'fd00::1', '::ffff:10.0.0.1', 'fe80::1%eth0', '255.255.255.255']
const PORTALS = ['10.0.0.1:3261', '[FD00::1]:860', 'fd00::1', 'san.example.com:3260', 'san-1']
const WWIDS = ['360014058a0906aaaaaa0001000000000', '1ATA_QEMU_HARDDISK_QM00001', '20025388b71b5e1c4']

testReader('iSCSI names', {
  read: text => iqn(text),
  check: ensureIqn,
  refusals: INVALID,
  captures: NAMES,
  values: /[^.:-]+/g,
})

testReader('portals', {
  read: text => portal(text),
  check: ensurePortal,
  refusals: INVALID,
  captures: PORTALS,
  values: /[^.:[\]]+/g,
})

testReader('WWIDs', {
  read: text => wwid(text),
  check: name => ensure(/^[\w.:+-]{3,127}$/.test(name), 'is no WWID', name),
  refusals: INVALID,
  captures: WWIDS,
})

testReader('SCSI addresses', {
  read: parseHctl,
  check: ensureHctl,
  refusals: UNEXPECTED,
  captures: ['3:0:0:300', '0:0:0:0', '12:0:1:16383'],
  values: /\d+/g,
})

testReader('IP addresses', {
  read: text => [text, isIP(text), isIPv6(text)] as const,
  check: ([text, is, is6]) => {
    ensure(is === (nodeIsIP(text) !== 0 && !text.includes('%')), 'is it an IP address', text)
    ensure(is6 === (nodeIsIPv6(text) && !text.includes('%')), 'is it an IPv6 address', text)
  },
  refusals: [],
  captures: ADDRESSES,
  values: /[^.:]+/g,
})

testReader('JSON', {
  read: text =>
    parseJson(text, 'tool')
      .at('maps')
      .items()
      .map(map => map.at('paths').integer()),
  check: counts => counts.forEach(count => ensureInteger(count, 'count', Number.MIN_SAFE_INTEGER)),
  refusals: UNEXPECTED,
  captures: printed(/^multipathd show maps json$/),
})

describe('SCSI addresses', () => {
  it('read back as they were written', () => {
    const number = fc.nat(2 ** 31 - 1)
    const hctl = fc.record(
      { host: number, channel: number, target: number, lun: fc.maxSafeNat() },
      { noNullPrototype: true }
    )
    fc.assert(
      fc.property(hctl, address => {
        expect(parseHctl(formatHctl(address))).toEqual(address)
      })
    )
  })

  it('are the ones the text says, whatever text is accepted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(numeral, numeral, numeral, numeral), async numbers => {
        const text = numbers.join(':')
        const done = await outcome({ read: parseHctl, check: ensureHctl, refusals: UNEXPECTED }, text)
        if (!done.isRefused) expect(formatHctl(done.answer)).toBe(text)
      })
    )
  })
})

describe('portals', () => {
  it('are the same once written and read back', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain())
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
        const at = portal(formatPortal({ host: name, port }))
        expect(samePortal(at, { host: name, port })).toBe(true)
        expect(portal(formatPortal(at))).toEqual(at)
      })
    )
  })
})

describe('what is to be a name', () => {
  const checks = { iqn, portal, wwid, ifaceName, deviceName, mapName, xenstorePath, lunNumber } as const

  it.each(Object.entries(checks))('%s refuses whatever is none, even what is no text', async (_, check) => {
    const refusals = ['INVALID_INPUT', 'XENSTORE_INVALID'] as const
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withTypedArray: true })
    const value = fc.oneof(anything, garbage([...NAMES, ...PORTALS, ...WWIDS]), fc.constant(Symbol('x')))
    await fc.assert(
      fc.asyncProperty(value, async input => {
        await outcome(
          {
            read: () => check(input as never),
            check: answer => ensure(input === answer || typeof input === 'string', 'was changed', answer),
            refusals,
          },
          ''
        )
      })
    )
  })

  it('is a LUN number only from 0 on, and whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.double(), fc.integer(), fc.nat(20_000)), async number => {
        const check = (lun: number): void => ensureInteger(lun, 'LUN', 0, MAX_LUN)
        const done = await outcome({ read: () => lunNumber(number), check, refusals: INVALID }, '')
        expect(!done.isRefused).toBe(Number.isInteger(number) && number >= 0 && number <= MAX_LUN)
      })
    )
  })
})

describe('a place in JSON', () => {
  it('holds what JSON.parse found there', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.array(fc.integer()))), value => {
        const json = parseJson(JSON.stringify(value), 'tool')
        for (const [name, inner] of Object.entries(value)) {
          const at = json.at(name)
          const read =
            typeof inner === 'string'
              ? at.text()
              : Array.isArray(inner)
                ? at.items().map(n => n.integer())
                : at.integer()
          expect(read).toEqual(inner)
        }
      })
    )
  })

  it('is named, and shown in part only, however deep or wide it is', async () => {
    const deep = `{"maps":[${'['.repeat(100_000)}${']'.repeat(100_000)}]}`
    const wide = `{"maps":[${'0,'.repeat(500_000)}0]}`
    for (const text of [deep, wide]) {
      const read = (): string => parseJson(text, 'tool').at('maps').text()
      expect(await outcome({ read, check: () => {}, refusals: UNEXPECTED }, text)).toMatchObject({ isRefused: true })
    }
  })
})
