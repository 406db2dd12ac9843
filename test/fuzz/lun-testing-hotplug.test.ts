import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { invalid } from '../../src/core/check.ts'
import { isLunError } from '../../src/core/error.ts'
import { iqn } from '../../src/core/iqn.ts'
import { MAX_LUN } from '../../src/core/lun-number.ts'
import { formatPortal, samePortal } from '../../src/core/portal.ts'
import { wwid } from '../../src/core/wwid.ts'
import { describe as describeCommand } from '../../src/host/command.ts'
import { parseDiskTarget } from '../../src/hotplug/disk-target.ts'
import { parsePortalsConf } from '../../src/hotplug/portals-conf.parse.ts'
import { parseLunEntry, parseTargetEntry } from '../../src/lun/journal/entries.ts'
import { createJournal } from '../../src/lun/journal/journal.ts'
import {
  formatDiscoveryEntry,
  formatKeptEntry,
  parseDiscoveryEntry,
  parseKeptEntry,
} from '../../src/lun/journal/record-notes.ts'
import { type AttachWish, checkAttachRequest } from '../../src/lun/request.ts'
import { formatCassette, parseCassette, type Recording } from '../../src/testing/cassette.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { CASSETTES, cut, damaged, garbage, megabyteOf, noise } from './arbitraries.ts'
import { ensure, ensureFilled, ensureInteger, ensureIqn, ensureOneOf, ensurePortal } from './checks.ts'
import { outcome, testReader } from './reader.ts'

const TARGET = iqn('iqn.2001-05.com.example:vm1')
const PATH = `/run/xen-lun/targets/${TARGET}.json`
const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const PROCESS = '4711 123456 4026531836'
/** As every version has written it: records and discoveries were noted here once. */
const ENTRY = {
  bootId: 'b',
  records: ['10.0.1.1:3260 default'],
  logins: ['10.0.1.1:3260 default', '[fd00::1]:3260 eth1'],
  discoveries: ['10.0.1.1:3260'],
  jobs: { 'login 10.0.1.1:3260 default': { untilMs: 123_456.5, process: PROCESS } },
}
const LUN = {
  bootId: 'b',
  wwid: '360014058a0906aaaaaa0001000000000',
  owners: {
    'backend/vbd/1/51712': { state: 'attached', process: PROCESS },
    default: { state: 'detaching', process: PROCESS },
    migration: { state: 'attached', process: PROCESS, expiry: { kind: 'prewarm', untilMs: 123_456 } },
  },
}

testReader('what is noted of a target', {
  read: text => parseTargetEntry(text, 'b'),
  check: found => {
    if ('flaw' in found) return
    const { intents, logins, jobs } = found.entry
    for (const item of [...intents.map(({ endpoint }) => endpoint), ...logins]) ensureFilled(item, 'item')
    for (const { untilMs } of Object.values(jobs)) ensure(Number.isFinite(untilMs), 'is no time', untilMs)
  },
  refusals: [],
  captures: [JSON.stringify(ENTRY, undefined, 2)],
  values: /(?<=[:[,]\s*)(?:"[^"]*"|[{[]|[\d.]+)|"[^"]*"(?=:)/g,
})

const CHANGE = {
  path: '/var/lib/iscsi/nodes/iqn.2001-05.com.example:vm1/10.0.1.1,3260',
  former: { 'node.session.scan': { before: 'auto', ours: ['manual', ''] } },
  made: { inode: 4711, mtimeMs: 1_735_689_600_000 },
}
const KEPT = {
  version: 2,
  intents: [
    { endpoint: '10.0.1.1:3260 default' },
    { endpoint: '10.0.2.1:3260 default', within: { sinceMs: 1_735_689_600_000, untilMs: 1_735_689_605_000 } },
  ],
  changes: [{ ...CHANGE, endpoint: '10.0.1.1:3260 default' }],
}

testReader('what is kept of node records', {
  read: text => parseKeptEntry(text),
  check: found => {
    if ('flaw' in found) return
    for (const { endpoint } of found.intents) ensure(typeof endpoint === 'string', 'is no endpoint', endpoint)
    for (const { path, former } of found.changes) {
      ensure(typeof path === 'string', 'is no path', path)
      for (const { before, ours } of former.values())
        ensure(typeof before === 'string' && ours.every(isText), 'is no value', before)
    }
    ensure(isDeepStrictEqual(parseKeptEntry(formatKeptEntry(found)), found), 'is not what was read', found)
  },
  refusals: [],
  captures: [JSON.stringify(KEPT, undefined, 2), JSON.stringify({ records: ['10.0.1.1:3260 default'], changes: [] })],
  values: /(?<=[:[,]\s*)(?:"[^"]*"|[{[]|[\d.]+)|"[^"]*"(?=:)/g,
})

testReader('what is noted of a discovery record', {
  read: text => parseDiscoveryEntry(text, 'b'),
  check: found => {
    if ('flaw' in found) return
    ensurePortal(found.entry.portal)
    ensure(Number.isFinite(found.entry.untilMs), 'is no time', found.entry.untilMs)
    const again = parseDiscoveryEntry(formatDiscoveryEntry(found.entry, 'b'), 'b')
    if ('flaw' in again) throw new Error(again.flaw)
    const { portal, ...entry } = again.entry
    ensure(isDeepStrictEqual({ ...found.entry, ...entry }, found.entry), 'is not what was read', entry)
    ensure(samePortal(portal, found.entry.portal), 'is another portal', portal)
  },
  refusals: [],
  captures: [
    JSON.stringify({ bootId: 'b', portal: '10.0.1.1:3260', process: PROCESS, untilMs: 7, note: CHANGE }, undefined, 2),
    JSON.stringify({ bootId: 'b', portal: '[fd00::1]:3260', process: PROCESS, untilMs: 7 }),
  ],
  values: /(?<=[:[,]\s*)(?:"[^"]*"|[{[]|[\d.]+)|"[^"]*"(?=:)/g,
})

const isText = (value: unknown): boolean => typeof value === 'string'

testReader('what is noted of a LUN', {
  read: text => parseLunEntry(text, 'b'),
  check: found => {
    if ('flaw' in found) return
    const { wwid: name, owners } = found.entry
    if (name !== undefined) wwid(name)
    for (const [owner, { state, expiry }] of owners) {
      ensureFilled(owner, 'owner')
      ensureOneOf(state, ['attaching', 'attached', 'detaching'], 'state')
      if (expiry === undefined) continue
      ensureOneOf(expiry.kind, ['prewarm', 'linger'], 'kind')
      ensure(Number.isFinite(expiry.untilMs), 'is no time', expiry.untilMs)
    }
  },
  refusals: [],
  captures: [JSON.stringify(LUN, undefined, 2)],
  values: /(?<=[:[,]\s*)(?:"[^"]*"|[{[]|[\d.]+)|"[^"]*"(?=:)/g,
})

describe('what is noted of a target', () => {
  const text = fc.string({ minLength: 1 })
  const notes = fc.record({ logins: fc.uniqueArray(text) }, { noNullPrototype: true })

  it('reads what was noted, or leaves a file that it cannot read as it is', async () => {
    await fc.assert(
      fc.asyncProperty(notes, garbage([JSON.stringify(ENTRY)]), async (noted, before) => {
        const files = createMemoryFiles({ files: { [PATH]: before, [BOOT_ID]: 'b\n' } })
        const journal = createJournal(files)
        const former = await journal.tryTarget(TARGET)
        if ('reason' in former) {
          await expect(journal.noteTarget(TARGET, noted)).rejects.toMatchObject({ code: 'JOURNAL_UNREADABLE' })
          expect(files.contents.get(PATH)).toBe(before)
          return
        }
        await journal.noteTarget(TARGET, noted)
        const now = await journal.target(TARGET)
        expect(now.intents).toEqual(former.intents)
        expect(new Set(now.logins)).toEqual(new Set([...former.logins, ...noted.logins]))
      })
    )
  })
})

const WHOLE = CASSETTES.filter(text => text.length < 5000)

testReader('a cassette', {
  read: parseCassette,
  check: recordings =>
    recordings.forEach(({ command, exitCode, stdout, stderr }) => {
      ensure(command !== '' && !command.includes('\n'), 'is no command', command)
      ensureInteger(exitCode, 'exit code', 0, 999)
      ensure(typeof stdout === 'string' && typeof stderr === 'string', 'is no output', command)
    }),
  refusals: ['UNEXPECTED_OUTPUT'],
  captures: WHOLE,
  long: ['$ ', '$ a\n', '$ a\n# exit 0\n', '--- stdout\n', '\\', '$ a\n# exit 0\n--- stdout\nb\n'].map(unit =>
    megabyteOf(unit)
  ),
})

describe('a cassette', () => {
  const lines = fc.constantFrom(
    '$ a',
    '$',
    '--- stdout',
    '--- stderr',
    '\\ no newline at end',
    '\\\\ no newline at end',
    '\\$ b',
    '# exit 1',
    ''
  )
  const output = fc.oneof(
    noise,
    fc.array(fc.oneof(lines, noise), { maxLength: 6 }).map(all => all.join('\n'))
  )
  const command = fc.array(noise, { minLength: 1, maxLength: 4 }).map(args => describeCommand({ file: 'tool', args }))
  const recording: fc.Arbitrary<Recording> = fc.record(
    { command, exitCode: fc.nat(255), stdout: output, stderr: output },
    { noNullPrototype: true }
  )

  it('reads back what was recorded, whatever was printed', () => {
    fc.assert(
      fc.property(fc.array(recording, { maxLength: 4 }), recordings => {
        expect(parseCassette(formatCassette(['a note', '--- stdout'], recordings))).toEqual(recordings)
      })
    )
  })

  it('is written as it was read', () => {
    for (const text of CASSETTES) {
      const notes = text.slice(0, Math.max(text.search(/^\$ /m), 0))
      expect(notes + formatCassette([], parseCassette(text))).toBe(text)
    }
  })

  // Nothing marks the end of a cassette: the last recording may lack lines, and nothing else.
  it('that is cut has the same recordings, the last one perhaps with fewer lines', () => {
    fc.assert(
      fc.property(cut(fc.constantFrom(...WHOLE)), ([whole, part]) => {
        const all = parseCassette(whole)
        const some = parsedIfWhole(part)
        if (!part.endsWith('\n')) expect(some).toEqual([])
        const [last, same] = [some.at(-1), all[some.length - 1]]
        expect(some.slice(0, -1)).toEqual(all.slice(0, Math.max(some.length - 1, 0)))
        expect([last?.command, last?.exitCode]).toEqual([same?.command, same?.exitCode])
        ensure(isStart(last?.stdout, same?.stdout) && isStart(last?.stderr, same?.stderr), 'is other output', last)
      })
    )
  })
})

function parsedIfWhole(text: string): readonly Recording[] {
  try {
    return parseCassette(text)
  } catch (error) {
    if (isLunError(error, 'UNEXPECTED_OUTPUT')) return []
    throw error
  }
}

function isStart(part = '', whole = ''): boolean {
  return whole.startsWith(part)
}

const DISKS = [
  TARGET,
  `iqn=${TARGET},portal=10.0.1.1,portal=[fd00::1]:3260,lun=300,wwid=360014058a0906aaaaaa0001,multipath=n`,
  `iqn=${TARGET},multipath=y`,
  `iqn=${TARGET},portal=10.0.1.1`,
]

function checkWish({ target, lun, source, multipath, expected }: AttachWish): void {
  ensureIqn(target)
  ensureInteger(lun, 'LUN', 0, MAX_LUN)
  ensureOneOf(multipath, ['required', 'preferred', 'never'], 'multipath')
  ensureOneOf(source.kind, ['given', 'node-db'], 'source')
  // A line with one portal, and nothing said of a map.
  if (multipath === 'preferred') {
    ensure(source.kind === 'given' && source.portals.length === 1, 'has not one portal', source)
  }
  if (source.kind === 'given') source.portals.forEach(ensurePortal)
  if (expected.wwid !== undefined) ensureFilled(expected.wwid, 'WWID')
}

/** What a disk line asks for. */
function wishOf(params: string): AttachWish {
  const target = parseDiskTarget(params)
  if (target.kind === 'alias') throw invalid('target', target.alias, 'is an alias, which there is none of here')
  return checkAttachRequest(target.kind === 'name' ? { target: target.target } : target.request)
}

testReader('the portals of a block-iscsi.conf', {
  read: parsePortalsConf,
  check: portals => {
    ensure(portals.length <= 64, 'are too many', portals.length)
    for (const word of portals) ensure(/^[^\s$`]+$/.test(word), 'is no word', word)
  },
  refusals: ['UNEXPECTED_OUTPUT'],
  captures: [
    'PORTALS=(10.0.1.1 10.0.2.1)\n',
    '# array\nPORTALS=( "10.0.1.1" # first\n  \'10.0.2.1:3260\'\n[fd00::1] )\nOTHER=$(date)\n',
    'declare -a PORTALS=(a b)\nPORTALS+=(c)\nPORTALS[7]=d\nPORTALS="e f"',
  ],
  values: /[\d.]+|"[^"]*"/g,
  long: ['PORTALS=(', 'a ', 'PORTALS=a\n', '"', '#'].map(unit => megabyteOf(unit)),
})

testReader('the target of a disk line', {
  read: wishOf,
  check: checkWish,
  refusals: ['INVALID_INPUT'],
  captures: DISKS,
  values: /(?<==)[^,]+/g,
  long: ['portal=10.0.0.1,', 'portal=,', 'lun=1,', '=', ',', 'a=b,'].map(unit => megabyteOf(unit)),
})

describe('the target of a disk line', () => {
  it('means what it says', async () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.ipV6().map(address => `[${address}]`)
    )
    const portals = fc.uniqueArray(host, { minLength: 1, maxLength: 8, selector: name => name.toLowerCase() })
    await fc.assert(
      fc.asyncProperty(portals, fc.nat(MAX_LUN), fc.constantFrom('y', 'n'), async (hosts, lun, multipath) => {
        const text = [
          `iqn=${TARGET}`,
          ...hosts.map(name => `portal=${name}`),
          `lun=${lun}`,
          `multipath=${multipath}`,
        ].join(',')
        const wish = wishOf(text)
        expect(wish).toMatchObject({ target: TARGET, lun, multipath: multipath === 'n' ? 'never' : 'required' })
        const given = wish.source.kind === 'given' ? wish.source.portals.map(formatPortal) : []
        expect(given).toEqual(hosts.map(name => `${name.toLowerCase()}:3260`))
      })
    )
  })

  it.each(['iqn', 'lun', 'wwid', 'multipath'])('is refused when it says %s twice', key => {
    for (const value of ['y', '0', TARGET]) {
      const text = `iqn=${TARGET},lun=0,wwid=3600,multipath=y,${key}=${value}`
      expect(() => wishOf(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    }
  })

  it('is refused when multipath is neither y nor n', () => {
    const word = fc
      .oneof(noise, fc.constantFrom('', 'yes', 'no', 'Y', 'N', '0', '1'))
      .filter(text => !/^[yn](?:,|$)/.test(text))
    fc.assert(
      fc.property(word, text => {
        expect(() => wishOf(`iqn=${TARGET},multipath=${text}`)).toThrow(
          expect.objectContaining({ code: 'INVALID_INPUT' })
        )
      })
    )
  })

  it('is taken for nothing else when a part of it is wrong', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(DISKS), async text => {
        const done = await outcome({ read: wishOf, check: checkWish, refusals: ['INVALID_INPUT'] }, text)
        if (!done.isRefused) ensure(text.toLowerCase().includes(done.answer.target), 'is another target', text)
      })
    )
  })
})
