import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMaps, decodeOneMap } from '../../src/multipath/maps.decode.ts'
import { cassette, printed, readsOrRefuses, W1, W2 } from './helpers.ts'

describe('the maps multipathd shows', () => {
  it('have a name, a device and their paths', () => {
    const [map, ...more] = decodeMaps(printed('maps'))
    expect(more).toEqual([])
    expect(map).toMatchObject({
      name: W1,
      wwid: W1,
      device: 'dm-0',
      state: 'active',
      activePaths: 2,
      pathFaults: 0,
      queuesIfNoPath: true,
      queueing: '6 chk',
      vendor: 'EQLOGIC',
      product: '100E-00',
    })
    expect(map?.paths.map(({ device, hostAdapter }) => [device, hostAdapter])).toEqual([
      ['sda', '10.0.1.10'],
      ['sdb', '10.0.2.10'],
    ])
    expect(map?.paths[0]).toEqual({
      device: 'sda',
      deviceNumber: '8:0',
      group: 1,
      priority: 50,
      hostAdapter: '10.0.1.10',
      targetName: 'iqn.2001-05.com.equallogic:0-8a0906-1-vol1',
      dmState: 'active',
      checkerState: 'ready',
      deviceState: 'running',
      raw: { dm: 'active', checker: 'ready', device: 'running' },
    })
  })

  it('are the same one by one', () => {
    expect([decodeOneMap(cassette('maps')[1]?.stdout ?? '')]).toEqual(decodeMaps(printed('maps')))
  })

  it('may be none', () => {
    expect(decodeMaps(printed('maps-none'))).toEqual([])
  })

  it('show a path whose link is down', () => {
    const paths = decodeMaps(printed('maps-link-down'))[0]?.paths ?? []
    expect(paths.map(path => [path.device, path.dmState, path.checkerState, path.deviceState])).toEqual(
      expect.arrayContaining([
        ['sda', 'active', 'ready', 'running'],
        ['sdb', 'failed', 'faulty', 'offline'],
      ])
    )
  })

  it('list paths that all failed, and count none', () => {
    const [map] = decodeMaps(printed('maps-all-failed'))
    expect(map).toMatchObject({ activePaths: 0, pathFaults: 4, queueing: '13 sec' })
    expect(map?.paths.map(path => [path.checkerState, path.hostAdapter])).toEqual([
      ['faulty', undefined],
      ['faulty', undefined],
    ])
  })

  it('may have lost every path', () => {
    const map = decodeMaps(printed('maps-without-paths')).find(({ name }) => name === W2)
    expect(map).toMatchObject({ paths: [], activePaths: 0, vendor: undefined, product: undefined })
  })

  it('may have an alias and not queue', () => {
    expect(decodeMaps(printed('maps-friendly'))[0]).toMatchObject({
      name: 'mpatha',
      wwid: W1,
      queuesIfNoPath: false,
      queueing: '-',
    })
  })

  it('keep words that are not known yet', () => {
    const text = printed('maps')
      .replace('"chk_st" : "ready"', '"chk_st" : "tired"')
      .replaceAll('"dm_st" : "active"', '"dm_st" : "new"')
    const [map] = decodeMaps(text)
    expect(map?.state).toBe('unknown')
    expect(map?.paths[0]).toMatchObject({
      dmState: 'unknown',
      checkerState: 'unknown',
      raw: { dm: 'new', checker: 'tired' },
    })
  })
})

describe('an answer that is not what it should be', () => {
  it.each([
    ['a path without its name', '"dev" : "sdb",', '', 'maps[0].path_groups[0].paths[1].dev is missing'],
    ['a map without its name', `"name" : "${W1}",`, '', 'maps[0].name is missing'],
    ['a count in words', '"paths" : 2,', '"paths" : "two",', 'maps[0].paths is no integer'],
    ['a name in numbers', `"name" : "${W1}"`, '"name" : 1', 'maps[0].name is no text'],
    ['groups that are none', '"path_groups": [', '"other": [', 'maps[0].path_groups is missing'],
    ['another thing altogether', '"maps"', '"cards"', 'maps is missing'],
  ])('names the place: %s', (_, from, to, problem) => {
    const broken = printed('maps').replace(from, to)
    expect(() => decodeMaps(broken)).toThrow(
      expect.objectContaining({ code: 'UNEXPECTED_OUTPUT', message: `multipathd: ${problem}` })
    )
  })

  it.each(['', 'ok', 'null', '[]', '{"maps": null}', '{"maps": [null]}', '{"maps": [[]]}', '{"maps": {"0": {}}}'])(
    'is refused: %s',
    text => {
      expect(() => decodeMaps(text)).toThrow(expect.objectContaining({ code: 'UNEXPECTED_OUTPUT' }))
    }
  )

  it('never causes another error', () => {
    const good: unknown = JSON.parse(printed('maps'))
    const texts = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .tuple(fc.constantFrom(...placesOf(good)), fc.jsonValue())
        .map(([place, value]) => JSON.stringify(replaced(good, place, value)))
    )
    fc.assert(
      fc.property(texts, text => {
        expect(readsOrRefuses(() => decodeMaps(text))).toBe(true)
      }),
      { numRuns: 500 }
    )
  })
})

type Place = readonly (string | number)[]

function placesOf(value: unknown, above: Place = []): readonly Place[] {
  if (typeof value !== 'object' || value === null) return [above]
  return [above, ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...above, key]))]
}

function replaced(value: unknown, [key, ...rest]: Place, by: unknown): unknown {
  if (key === undefined) return by
  if (Array.isArray(value)) return value.map((item, n) => (String(n) === String(key) ? replaced(item, rest, by) : item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, name === key ? replaced(inner, rest, by) : inner])
  )
}
