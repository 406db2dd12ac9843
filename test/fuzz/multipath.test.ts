import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wwid } from '../../src/core/wwid.ts'
import type { Command } from '../../src/host/command.ts'
import { readAnswer, readListing } from '../../src/multipath/answer.ts'
import * as commands from '../../src/multipath/commands.ts'
import {
  type Blacklist,
  type ConfigSection,
  type MultipathConfig,
  parseConfig,
} from '../../src/multipath/config.parse.ts'
import { decodeMaps, decodeOneMap, type MultipathMap } from '../../src/multipath/maps.decode.ts'
import { known, type PathState, readPathState } from '../../src/multipath/path-state.ts'
import { parsePaths } from '../../src/multipath/paths.parse.ts'
import { parseWwids } from '../../src/multipath/wwids.parse.ts'
import { damaged, garbage, megabyteOf, noise, printed } from './arbitraries.ts'
import { ensure, ensureFilled, ensureFilledOrUnknown, ensureHctl, ensureInteger, ensureOneOf } from './checks.ts'
import { outcome, testReader } from './reader.ts'

const UNEXPECTED = ['UNEXPECTED_OUTPUT'] as const
const MAPS = printed(/^multipathd show maps json$/)
const MAP = printed(/^multipathd show map \S+ json$/)
const PATHS = printed(/^multipathd show paths raw format/)
const CONFIG = printed(/^multipathd show config local$/)
const JSON_VALUE = /(?<=: *)(?:"[^"]*"|-?\d+|[[{])/g
const STATUS = 'path checker states:\nup                  2\n\npaths: 2\nbusy: False\n'
const CHECKS = ['ready', 'faulty', 'shaky', 'ghost', 'i/o pending', 'i/o timeout', 'delayed', 'disconnected', 'unknown']

function checkState({ dmState, checkerState, deviceState, raw }: PathState): void {
  ensureOneOf(dmState, ['active', 'failed', 'unknown'], 'dm state')
  ensureOneOf(checkerState, CHECKS, 'checker state')
  ensureOneOf(deviceState, ['running', 'offline', 'unknown'], 'device state')
  ensure(Object.values(raw).every(word => typeof word === 'string') && Object.keys(raw).length === 3, 'is not raw', raw)
}

function checkMap(map: MultipathMap): void {
  for (const name of ['name', 'wwid', 'device'] as const) ensureFilled(map[name], name)
  ensureOneOf(map.state, ['active', 'suspended', 'unknown'], 'state')
  ensureInteger(map.activePaths, 'active paths')
  ensureInteger(map.pathFaults, 'path faults')
  ensure(typeof map.queuesIfNoPath === 'boolean' && typeof map.queueing === 'string', 'is no queueing', map)
  ensureFilledOrUnknown(map.vendor, 'vendor')
  ensureFilledOrUnknown(map.product, 'product')
  for (const path of map.paths) {
    ensureFilled(path.device, 'device')
    ensureFilled(path.deviceNumber, 'device number')
    ensureInteger(path.group, 'group', 1)
    ensureInteger(path.priority, 'priority', Number.MIN_SAFE_INTEGER)
    ensureFilledOrUnknown(path.hostAdapter, 'host adapter')
    ensureFilledOrUnknown(path.targetName, 'target name')
    checkState(path)
  }
}

function ensureTexts(values: readonly string[]): void {
  ensure(
    values.every(value => typeof value === 'string' && !value.includes('\n')),
    'is no value',
    values
  )
}

/** Without recursion: sections may be nested as deep as a megabyte allows. */
function checkSections(top: readonly ConfigSection[]): void {
  for (const queue = [...top]; queue.length > 0; ) {
    const section = queue.pop()
    if (section === undefined) return
    ensure(/^[\w-]+$/.test(section.name), 'is no name of a section', section.name)
    for (const [key, values] of section.values) {
      ensure(/^[\w-]+$/.test(key) && values.length > 0, 'is no key', key)
      ensureTexts(values)
    }
    for (const inner of section.sections) queue.push(inner)
  }
}

function checkBlacklist({ devnode, wwid: wwids, protocol, property, devices }: Blacklist): void {
  for (const list of [devnode, wwids, protocol, property]) ensureTexts(list)
  for (const { vendor, product } of devices) ensureTexts([vendor, product])
}

function checkConfig(config: MultipathConfig): void {
  ensureOneOf(config.findMultipaths, ['strict', 'on', 'smart', 'greedy', 'off', 'unknown'], 'find_multipaths')
  ensure(typeof config.hasFriendlyNames === 'boolean', 'is no boolean', config.hasFriendlyNames)
  if (typeof config.noPathRetry === 'number') ensureInteger(config.noPathRetry, 'no_path_retry')
  else ensureOneOf(config.noPathRetry, ['queue', 'fail', undefined], 'no_path_retry')
  checkBlacklist(config.blacklist)
  checkBlacklist(config.blacklistExceptions)
  checkSections(config.sections)
}

testReader('maps multipathd shows', {
  read: decodeMaps,
  check: maps => maps.forEach(checkMap),
  refusals: UNEXPECTED,
  captures: MAPS,
  values: JSON_VALUE,
  items: maps => maps,
  long: [
    `{"maps":[${'['.repeat(100_000)}${']'.repeat(100_000)}]}`,
    `{"maps":[${'0,'.repeat(500_000)}0]}`,
    `{"maps":[{"name":"${'x'.repeat(1_000_000)}"}]}`,
  ],
})

testReader('the one map multipathd shows', {
  read: decodeOneMap,
  check: checkMap,
  refusals: UNEXPECTED,
  captures: MAP,
  values: JSON_VALUE,
  items: map => [map],
})

testReader('paths multipathd shows', {
  read: parsePaths,
  check: paths =>
    paths.forEach(path => {
      ensureFilled(path.device, 'device')
      ensureFilled(path.deviceNumber, 'device number')
      for (const text of [path.device, path.deviceNumber])
        ensure(text === text.trim() && !text.includes('|'), 'is no name', text)
      if (path.hctl !== undefined) ensureHctl(path.hctl)
      ensureFilledOrUnknown(path.wwid, 'WWID')
      ensureFilledOrUnknown(path.map, 'map')
      checkState(path)
    }),
  refusals: UNEXPECTED,
  captures: PATHS,
  values: /[^|\n]+/g,
  items: paths => paths,
  long: ['|', ' |', 'a|', 'a|b|c|d|e|f|g|h\n'].map(unit => megabyteOf(unit)),
})

testReader('the configuration multipathd shows', {
  read: parseConfig,
  check: checkConfig,
  refusals: UNEXPECTED,
  captures: CONFIG,
  values: /(?<=\t\w+ ).+/g,
  items: config => config.sections,
  long: [
    `defaults {\n${megabyteOf('a\n')}}\n`,
    `defaults {\n${megabyteOf('a "b"\n')}}\n`,
    `defaults {\na${megabyteOf(' ')}b\u2028c\n}\n`,
    `defaults {\na "${megabyteOf('""')}"\n}\n`,
    `${megabyteOf('a {\n')}${megabyteOf('}\n')}`,
    megabyteOf('blacklist {\n}\n'),
    megabyteOf('a'),
  ],
})

describe('a configuration', () => {
  it('with a quote that is not closed is refused', async () => {
    for (const line of new Set(CONFIG.join('').match(/^\s+\w+ ".+"$/gm))) {
      const text = `blacklist {\n${line.slice(0, -1)}\n}\n`
      const result = await outcome({ read: parseConfig, check: checkConfig, refusals: UNEXPECTED }, text)
      expect(result.isRefused).toBe(true)
    }
  })

  it('says what was written', () => {
    const value = fc.oneof(noise, garbage(CONFIG)).map(text => text.replaceAll('\n', ' '))
    const values = fc.array(value, { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(values, wwids => {
        const lines = wwids.map(text => `\twwid "${text.replaceAll('"', '""')}"\n`)
        expect(parseConfig(`blacklist {\n${lines.join('')}}\n`).blacklist.wwid).toEqual(wwids)
      })
    )
  })
})

testReader('the wwids file', {
  read: parseWwids,
  check: entries => entries.forEach(entry => ensure(/^[^/\n]+$/.test(entry), 'is no entry', entry)),
  refusals: [],
  captures: printed(/^cat \/etc\/multipath\/wwids$/),
  items: entries => entries,
  long: ['/', '/a', '/a/', '/a/\n', ' /a/'].map(unit => megabyteOf(unit)),
})

testReader('states of a path', {
  read: text => {
    const [dm = '', checker = '', device = ''] = text.split('|')
    return { state: readPathState({ dm, checker, device }), word: known(dm) }
  },
  check: ({ state, word }) => {
    checkState(state)
    ensureFilledOrUnknown(word, 'word')
    ensure(word === undefined || word === state.raw.dm, 'is another word', word)
  },
  refusals: [],
  captures: ['active|ready|running', 'failed|i/o pending|offline', '[undef]|##|-'],
})

const WORDS = { file: 'multipathd', args: ['show', 'status'] } as const

testReader('what multipathd says', {
  read: text => readAnswer(WORDS, { exitCode: text.length % 2, stdout: text, stderr: '' }),
  check: ({ word, text, hasFailed }) => {
    ensure(word === word.trimStart() && word.length <= 200 && !word.includes('\n'), 'is no word', word)
    ensure(text.trimStart().startsWith(word), 'is not what it said', word)
    ensure(hasFailed === (text.length % 2 === 1 || word === 'fail'), 'has it failed', word)
  },
  refusals: ['MULTIPATHD_NOT_RUNNING', 'MULTIPATHD_TIMEOUT'],
  captures: ['ok\n', 'fail\n', 'device not found\n', STATUS],
})

testReader('a listing of multipathd', {
  read: text => readListing(WORDS, { exitCode: 0, stdout: text, stderr: '' }),
  check: text => ensure(!/^\s*fail\n/.test(text), 'is a refusal', text),
  refusals: ['MULTIPATHD_TIMEOUT', 'MULTIPATHD_REFUSED'],
  captures: [STATUS, ...PATHS],
})

const W1 = wwid('360014058a0906aaaaaa0001000000000')
const ANSWERS = ['ok\n', 'fail\n', 'device not found\n', 'map or partition in use\n', 'timeout\n', 'delayed\n']
const REFUSALS = [
  'MULTIPATHD_NOT_RUNNING',
  'MULTIPATHD_TIMEOUT',
  'MULTIPATHD_REFUSED',
  'MAP_BUSY',
  'UNEXPECTED_OUTPUT',
  'COMMAND_FAILED',
] as const

function testOrder<T>(
  name: string,
  command: Command<T>,
  check: (answer: T) => void,
  answers: readonly string[] = ANSWERS
): void {
  it(`${name}: any answer is read wholly or refused`, async () => {
    const stdout = fc.oneof(damaged(answers), garbage(answers), fc.constantFrom(...answers, ...ANSWERS))
    const result = fc.record({ exitCode: fc.constantFrom(0, 0, 0, 1, 127), stdout, stderr: noise })
    await fc.assert(
      fc.asyncProperty(result, async said => {
        await outcome({ read: () => command.decode(said), check, refusals: REFUSALS }, said.stdout)
      })
    )
  })
}

function isOneOf(...words: readonly unknown[]): (answer: unknown) => void {
  return answer => ensureOneOf(answer, words, 'answer')
}

function checkMapIfAny(map: MultipathMap | 'unclear' | undefined): void {
  if (typeof map === 'object') checkMap(map)
  else ensureOneOf(map, ['unclear', undefined], 'answer')
}

describe('orders', () => {
  const isFlushed = isOneOf('flushed', 'absent', 'unclear')
  const words = [`wwid '${W1}' added\n`, `wwid '${W1}' removed\n`, `wwid '${W1}' not in wwids file\n`]
  testOrder('show maps', commands.showMaps(), maps => maps.forEach(checkMap), MAPS)
  testOrder('show map', commands.showMap(W1), checkMapIfAny, MAP)
  testOrder('show config', commands.showConfig(), checkConfig, CONFIG)
  testOrder('show status', commands.showStatus(), ({ paths }) => ensureInteger(paths, 'paths'), [STATUS])
  testOrder('add path', commands.addPath('sda'), isOneOf(undefined))
  testOrder('del path', commands.delPath('sda'), isOneOf('removed', 'delayed', 'absent', 'unclear'))
  testOrder('del map', commands.delMap(W1), isFlushed)
  testOrder('flush', commands.flushMap(W1), isFlushed)
  testOrder('add wwid', commands.addWwid('sda'), answer => ensureFilled(answer, 'WWID'), words)
  testOrder('remove wwid', commands.removeWwid(W1), isOneOf('removed', 'absent'), words)
})
