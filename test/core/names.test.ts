import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { formatHctl, parseHctl } from '../../src/core/hctl.ts'
import { iqn } from '../../src/core/iqn.ts'
import { lunNumber } from '../../src/core/lun-number.ts'
import { formatPortal, portal, samePortal } from '../../src/core/portal.ts'
import { Secret } from '../../src/core/secret.ts'
import { wwid } from '../../src/core/wwid.ts'

const MEGABYTE = 'a'.repeat(1 << 20)

function refusal(check: () => unknown): string {
  try {
    check()
  } catch (error) {
    if (isLunError(error, 'INVALID_INPUT')) return error.details.field
    throw error
  }
  return 'accepted'
}

describe('an iSCSI name', () => {
  test.each([
    ['iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost'],
    ['iqn.2026-01.test.lab'],
    ['eui.02004567a425678d'],
    ['naa.52004567ba64678d'],
  ])('is accepted: %s', name => expect(iqn(name)).toBe(name))

  test('is folded to lower case, as RFC 3722 has it', () => {
    expect(iqn('IQN.2001-05.COM.Example:VM')).toBe('iqn.2001-05.com.example:vm')
  })

  test.each([
    [''],
    ['-x'],
    ['--interface'],
    ['iqn.2001-05.com.example:../../etc'],
    ['iqn.2001-05.com.example:a/b'],
    ['iqn.2001-05.com.example:a b'],
    ['iqn.2001-05.com.example:a,b'],
    ['iqn.2001-05.com.example:a\0b'],
    ['iqn.2001-05.com.example:a\nb'],
    ['iqn.2001-5.com.example:a'],
    ['eui.123'],
    [`iqn.2001-05.com.example:${'a'.repeat(200)}`],
    [MEGABYTE],
  ])('is refused: %j', name => expect(refusal(() => iqn(name))).toBe('target'))
})

describe('a portal', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1:3260'],
    ['10.0.0.1:3261', '10.0.0.1:3261'],
    ['fd00::1', '[fd00::1]:3260'],
    ['[FD00::1]:860', '[fd00::1]:860'],
    ['SAN.example.com', 'san.example.com:3260'],
    ['san-1.example.com:3261', 'san-1.example.com:3261'],
  ])('%s is %s', (text, formatted) => expect(formatPortal(portal(text))).toBe(formatted))

  test.each([
    [''],
    ['-p'],
    ['10.0.0.1:'],
    ['10.0.0.1:0'],
    ['10.0.0.1:65536'],
    ['10.0.0.256'],
    ['10.0.0'],
    ['10.0.0.1,1'],
    ['[10.0.0.1]'],
    ['[fd00::1'],
    ['fd00::g'],
    ['10.0.0.1 '],
    ['a_b'],
    ['10.0.0.1\0'],
    [MEGABYTE],
  ])('is refused: %j', text => expect(refusal(() => portal(text))).toBe('portal'))

  test('IPv6 addresses are the same however they are written', () => {
    expect(samePortal(portal('fd00:0:0::0001'), portal('[FD00::1]'))).toBe(true)
    expect(samePortal(portal('fd00::1'), portal('fd00::2'))).toBe(false)
    expect(samePortal(portal('10.0.0.1'), portal('10.0.0.1:3261'))).toBe(false)
  })

  test('reads back what it formats', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const at = portal(formatPortal({ host: host.toLowerCase(), port }))
        expect(samePortal(at, { host, port })).toBe(true)
      })
    )
  })
})

test.each([['x'], ['-w'], ['36001405 1'], ['3600/../1'], ['3600\0'], [MEGABYTE]])('a WWID is refused: %j', text => {
  expect(refusal(() => wwid(text))).toBe('wwid')
})

test.each([[-1], [16_384], [1.5], [Number.NaN], ['0']])('a LUN number is refused: %j', value => {
  expect(refusal(() => lunNumber(value as number))).toBe('lun')
})

test('every check either brands a text or refuses it with INVALID_INPUT', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      for (const check of [iqn, portal, wwid])
        expect(refusal(() => check(text))).toMatch(/^(accepted|target|portal|wwid)$/)
    })
  )
})

test('host:channel:target:lun reads back, LUN 300 included', () => {
  expect(parseHctl('3:0:0:300')).toEqual({ host: 3, channel: 0, target: 0, lun: 300 })
  expect(formatHctl(parseHctl('3:0:0:300'))).toBe('3:0:0:300')
  expect(() => parseHctl('3:0:0')).toThrow(expect.objectContaining({ code: 'UNEXPECTED_OUTPUT' }))
})

test('a secret shows up in no text made of it', () => {
  const secret = new Secret('hunter2')
  expect(`${secret.toString()}${JSON.stringify({ secret })}${Object.values(secret).join()}`).not.toContain('hunter2')
  expect(secret.reveal()).toBe('hunter2')
})
