import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/multipath/config.parse.ts'
import { parseWwids } from '../../src/multipath/wwids.parse.ts'
import { cassette, printed, readsOrRefuses, W1 } from './helpers.ts'

describe('the configuration in force', () => {
  it('tells what an attach depends on', () => {
    const config = parseConfig(printed('config'))
    expect(config).toMatchObject({ findMultipaths: 'off', hasFriendlyNames: false, noPathRetry: 6, fastIoFailS: 5 })
    expect(config.blacklist.devnode).toEqual(['!^(sd[a-z]|dasd[a-z]|nvme[0-9])'])
    expect(config.blacklist.devices).toContainEqual({ vendor: '(NETAPP|LSI|ENGENIO)', product: 'Universal Xport' })
    expect(config.blacklist.devices).toHaveLength(14)
    expect(config.blacklistExceptions.property).toEqual(['(SCSI_IDENT_|ID_WWN)'])
  })

  it('keeps everything else', () => {
    const { sections } = parseConfig(printed('config'))
    expect(sections.map(({ name }) => name)).toEqual([
      'defaults',
      'blacklist',
      'blacklist_exceptions',
      'devices',
      'overrides',
      'multipaths',
    ])
    expect(sections[0]?.values.get('path_selector')).toEqual(['service-time 0'])
    expect(sections.at(-1)?.sections[0]?.values.get('wwid')).toEqual([W1])
  })

  it.each([
    ['strict', 'strict'],
    ['on', 'on'],
    ['smart', 'smart'],
    ['greedy', 'greedy'],
    ['later', 'unknown'],
  ])('knows find_multipaths %s as %s', (word, expected) => {
    expect(parseConfig(`defaults {\n\tfind_multipaths "${word}"\n}\n`).findMultipaths).toBe(expected)
  })

  it.each([
    ['no_path_retry "queue"', 'queue'],
    ['no_path_retry "fail"', 'fail'],
    ['no_path_retry 12', 12],
    ['no_path_retry "soon"', undefined],
    ['polling_interval 5', undefined],
  ])('reads %s', (line, expected) => {
    expect(parseConfig(`defaults {\n\t${line}\n}\n`).noPathRetry).toBe(expected)
  })

  it.each([
    ['defaults {\n fast_io_fail_tmo 5\n}\n', 5],
    ['defaults {\n fast_io_fail_tmo "off"\n}\n', 'off'],
    ['defaults {\n fast_io_fail_tmo "soon"\n}\n', undefined],
    ['defaults {\n polling_interval 5\n}\n', undefined],
    ['defaults {\n fast_io_fail_tmo 5\n}\noverrides {\n fast_io_fail_tmo 7\n}\n', 7],
    [
      'overrides {\n fast_io_fail_tmo 7\n protocol {\n type "scsi:iscsi"\n fast_io_fail_tmo off\n }\n protocol {\n type "scsi:fcp"\n fast_io_fail_tmo 9\n }\n}\n',
      'off',
    ],
  ])('reads fast_io_fail_tmo of %j', (text, expected) => {
    expect(parseConfig(text).fastIoFailS).toBe(expected)
  })

  it('lets overrides win', () => {
    const text =
      'defaults {\n no_path_retry 5\n user_friendly_names "no"\n}\noverrides {\n no_path_retry "fail"\n user_friendly_names "yes"\n}\n'
    expect(parseConfig(text)).toMatchObject({ noPathRetry: 'fail', hasFriendlyNames: true })
  })

  it('undoes doubled quotes and keeps repeated keys', () => {
    const text = 'blacklist {\n\twwid "a ""quoted"" one"\n\twwid ".*"\n\twwid ""\n}\n'
    expect(parseConfig(text).blacklist.wwid).toEqual(['a "quoted" one', '.*', ''])
  })

  it.each([
    ['an end too many', 'defaults {\n}\n}\n', 3],
    ['an end too few', 'defaults {\n\tverbosity 2\n', 3],
    ['a value outside', 'verbosity 2\n', 1],
    ['no configuration', 'defaults {\n\t= 3\n}\n', 2],
  ])('is refused with the line: %s', (_, text, line) => {
    expect(() => parseConfig(text)).toThrow(
      expect.objectContaining({ code: 'UNEXPECTED_OUTPUT', details: expect.objectContaining({ line }) })
    )
  })

  it('never causes another error, whatever is printed', () => {
    const pieces = fc.constantFrom('defaults {', 'device {', '}', 'key "v"', 'key', '"', '{', '\t', '', 'x y z')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map(lines => lines.join('\n'))
        ),
        text => {
          expect(readsOrRefuses(() => parseConfig(text))).toBe(true)
        }
      )
    )
  })
})

describe('the wwids file', () => {
  it('lists WWIDs between slashes, and comments', () => {
    expect(parseWwids(cassette('wwids')[1]?.stdout ?? '')).toEqual([W1])
  })

  it('may be empty or broken', () => {
    expect(parseWwids('')).toEqual([])
    expect(parseWwids('/\n//\n/a\nb/\n/a/b/\n /c/ \n')).toEqual(['c'])
  })

  it('never causes an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(parseWwids(text)).toBeInstanceOf(Array)
      })
    )
  })
})
