import { describe, expect, test } from 'vitest'
import { parseTarget } from '../../examples/block-script/target.ts'

const name = 'iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost'

describe("the block script's target", () => {
  test('is a bare iSCSI name, with the portals of the node database', () => {
    expect(parseTarget(name)).toEqual({ target: name })
  })

  test('is a list of keys, portals as many as there are', () => {
    const text = `iqn=${name},portal=10.0.1.1,portal=[fd00::1]:3260,lun=300,wwid=3600,multipath=n`
    expect(parseTarget(text)).toEqual({
      target: name,
      portals: ['10.0.1.1', '[fd00::1]:3260'],
      lun: 300,
      expected: { wwid: '3600' },
      multipath: 'never',
    })
  })

  test.each([
    ['user=dom0', 'the guest can read it'],
    ['password=x', 'the guest can read it'],
    ['colour=red', 'unknown key'],
    ['lun', 'unknown key'],
    ['iqn=again', 'given twice'],
  ])('is refused with %s', (key, reason) => {
    expect(() => parseTarget(`iqn=${name},${key}`)).toThrow(reason)
  })

  test.each([['x'], ['-1'], ['1e3'], ['']])('has no LUN %j', lun => {
    expect(parseTarget(`iqn=${name},lun=${lun}`).lun).toBeNaN()
  })
})
