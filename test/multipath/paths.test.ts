import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PATHS_FORMAT, parsePaths } from '../../src/multipath/paths.parse.ts'
import { printed, readsOrRefuses, W1 } from './helpers.ts'

describe('the paths multipathd shows', () => {
  it('have their address, states and map', () => {
    const [first, second] = parsePaths(printed('paths'))
    expect(first).toEqual({
      device: 'sda',
      deviceNumber: '8:0',
      hctl: { host: 2, channel: 0, target: 0, lun: 0 },
      wwid: W1,
      map: W1,
      dmState: 'active',
      checkerState: 'ready',
      deviceState: 'running',
      raw: { dm: 'active', checker: 'ready', device: 'running' },
    })
    expect(second).toMatchObject({ device: 'sdb', dmState: 'failed', checkerState: 'faulty', deviceState: 'offline' })
  })

  it('may be orphans, and no SCSI devices', () => {
    const [, , orphan, nvme] = parsePaths(printed('paths'))
    expect(orphan).toMatchObject({ device: 'sdc', map: undefined, checkerState: 'unknown', wwid: W1 })
    expect(nvme).toMatchObject({ device: 'nvme0n1', hctl: undefined, wwid: undefined, map: undefined })
  })

  it('are none when multipathd says ok or nothing', () => {
    expect(parsePaths(printed('paths-none'))).toEqual([])
    expect(parsePaths('')).toEqual([])
    expect(parsePaths('\n')).toEqual([])
  })

  it('survive a separator in the name of a map', () => {
    expect(parsePaths('sda|2:0:0:0|8:0|active|i/o pending|running|3600|my|map\n')[0]).toMatchObject({
      map: 'my|map',
      checkerState: 'i/o pending',
    })
  })

  it('are refused with the line that is no path', () => {
    const text = `${printed('paths')}hcil    dev dev_t\n`
    expect(() => parsePaths(text)).toThrow(
      expect.objectContaining({
        code: 'UNEXPECTED_OUTPUT',
        details: { tool: 'multipathd', line: 5, text: 'hcil    dev dev_t' },
      })
    )
  })

  it('never cause another error, whatever is printed', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[sd|:0-9 \n]*$/)), text => {
        expect(readsOrRefuses(() => parsePaths(text))).toBe(true)
      })
    )
  })

  it('read back what was written', () => {
    const word = fc.stringMatching(/^[a-z0-9.:_-]{1,20}$/).filter(text => !/^(?:-|undef)$/.test(text))
    fc.assert(
      fc.property(word, word, word, fc.nat(999), (device, wwid, map, lun) => {
        const fields = new Map([
          ['%d', device],
          ['%i', `1:0:0:${lun}`],
          ['%w', wwid],
          ['%m', map],
        ])
        const line = PATHS_FORMAT.replaceAll(/%./g, wildcard => fields.get(wildcard) ?? 'undef')
        expect(parsePaths(`${line}\n`)).toMatchObject([
          { device, wwid, map, hctl: { host: 1, channel: 0, target: 0, lun } },
        ])
      })
    )
  })
})
