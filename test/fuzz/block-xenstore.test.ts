import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BlockDevice, readBlockDevice } from '../../src/block/block-device.ts'
import { parseSerialPage, toWwid } from '../../src/block/identity.parse.ts'
import { createScsi } from '../../src/block/scsi.ts'
import { parseUdevRecord } from '../../src/block/udev.parse.ts'
import { findUsers } from '../../src/block/users.ts'
import { findXenBackends } from '../../src/block/xen-backends.ts'
import { wwid } from '../../src/core/wwid.ts'
import { listChildren, pathExists, readValue, removePath } from '../../src/xenstore/commands.ts'
import { escapeValue, unescapeValue } from '../../src/xenstore/escape.ts'
import { checkXenstoreValue, xenstorePath } from '../../src/xenstore/path.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { character, damaged, garbage, megabyteOf, noise, numeral, printed } from './arbitraries.ts'
import { ensure, ensureFilled, ensureHctl, ensureInteger, ensureOneOf } from './checks.ts'
import { outcome, testReader } from './reader.ts'

const UDEV = `S:disk/by-id/wwn-0x60014058a0906aaaaaa0001000000000
S:disk/by-path/ip-10.0.1.1:3260-iscsi-iqn.2001-05.com.equallogic:0-8a0906-1-vol1-lun-0
L:0
I:42588574
E:ID_SCSI=1
E:ID_VENDOR=EQLOGIC
E:ID_SERIAL=360014058a0906aaaaaa0001000000000
E:DM_MULTIPATH_DEVICE_PATH=1
G:systemd
Q:systemd
V:1
`

testReader('what udev keeps', {
  read: parseUdevRecord,
  check: ({ isInitialized, properties, links }) => {
    ensure(typeof isInitialized === 'boolean', 'is no boolean', isInitialized)
    for (const link of links) ensure(link !== '' && !link.includes('\n'), 'is no link', link)
    for (const [name, value] of properties) {
      ensure(name !== '' && !/[=\n]/.test(name) && !value.includes('\n'), 'is no property', [name, value])
    }
  },
  refusals: [],
  captures: [UDEV],
  values: /(?<=[:=]).+/g,
  long: ['E:', 'E:a=b\n', 'S:a\n', 'I:1', 'E:=\n'].map(unit => megabyteOf(unit)),
})

it('what udev keeps, cut anywhere, holds nothing that was not there', () => {
  const whole = parseUdevRecord(UDEV)
  for (let length = 0; length < UDEV.length; length++) {
    const { isInitialized, properties, links } = parseUdevRecord(UDEV.slice(0, length))
    expect(whole.links.slice(0, links.length)).toEqual(links)
    expect([...whole.properties].slice(0, properties.size)).toEqual([...properties])
    if (isInitialized) expect(UDEV.slice(0, length)).toMatch(/^I:42588574\n/m)
  }
})

testReader('the name of a LUN', {
  read: toWwid,
  check: name => {
    if (name !== undefined) ensure(wwid(name) === name && /^[1238]/.test(name), 'is no WWID', name)
  },
  refusals: [],
  captures: [
    'naa.60014058a0906aaaaaa0001000000000',
    'eui.0025388b71b5e1c4',
    't10.ATA     QEMU HARDDISK   QM00001',
    'iqn.x',
  ],
  long: [' ', 'a '].map(unit => `t10.${megabyteOf(unit)}b`),
})

describe('a serial number', () => {
  const page = (serial: string, length = serial.length): Uint8Array =>
    Uint8Array.from([0, 0x80, length >> 8, length & 0xff, ...Buffer.from(serial, 'latin1')])

  it('is whole or none, whatever the page holds', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      noise.map(text => page(text)),
      fc.constant(new Uint8Array(1 << 20))
    )
    fc.assert(
      fc.property(bytes, found => {
        const serial = parseSerialPage(found)
        if (serial !== undefined) ensure(serial !== '' && serial === serial.trim(), 'is no serial', serial)
      })
    )
  })

  it('of a page that is cut is none', () => {
    const serial = fc.stringMatching(/^[\x21-\x7e]{1,252}$/)
    fc.assert(
      fc.property(serial, fc.nat(255), (text, length) => {
        const whole = page(text)
        expect(parseSerialPage(whole)).toBe(text)
        expect(parseSerialPage(whole.subarray(0, length))).toBe(length >= whole.length ? text : undefined)
      })
    )
  })
})

const SYSFS = { dev: '254:0', size: '131072', ro: '0', 'dm/name': 'mpatha', 'dm/uuid': 'mpath-3600' } as const

function checkBlockDevice(device: BlockDevice | undefined): void {
  if (device === undefined) return
  for (const name of ['major', 'minor'] as const) ensureInteger(device[name], name)
  ensure(Number.isInteger(device.sizeBytes) && device.sizeBytes % 512 === 0, 'is no size', device.sizeBytes)
  ensure(Number.isSafeInteger(device.sizeBytes / 512), 'was rounded', device.sizeBytes)
}

describe('devices in sysfs and /proc', () => {
  const text = fc.oneof(damaged(Object.values(SYSFS)), garbage(Object.values(SYSFS)))
  const attributes = fc.dictionary(fc.constantFrom(...Object.keys(SYSFS)), text, { noNullPrototype: true })

  it('are whole or not there', async () => {
    await fc.assert(
      fc.asyncProperty(attributes, async changes => {
        const files = Object.entries({ ...SYSFS, ...changes }).map(([name, value]) => [
          `/sys/block/dm-0/${name}`,
          value,
        ])
        const read = async (): Promise<BlockDevice | undefined> =>
          await readBlockDevice(createMemoryFiles({ files: Object.fromEntries(files) }), 'dm-0')
        await outcome({ read, check: checkBlockDevice, refusals: [] }, '')
      })
    )
  })

  it('are addressed exactly, or refused', async () => {
    const part = fc.oneof(
      numeral,
      noise.map(value => value.replaceAll('/', ''))
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 3 }), async parts => {
        const name = ['2', '0', '0', ...parts].join(':')
        const files = createMemoryFiles({
          files: { [`/sys/class/scsi_device/${name}/device/wwid`]: `naa.${parts[0]}` },
        })
        const scsi = createScsi({ files, clock: createFakeClock() })
        const read = async () => await scsi.devices({ host: 2, channel: 0, targetId: 0 })
        const done = await outcome(
          { read, check: found => found.forEach(ensureHctl), refusals: ['UNEXPECTED_OUTPUT'] },
          ''
        )
        if (!done.isRefused) expect(done.answer.map(({ lun }) => `2:0:0:${lun}`)).toEqual([name])
      })
    )
  })

  it('have users, whatever /proc says', async () => {
    const mounts = '36 35 254:0 / /mnt/a rw - ext4 /dev/dm-0 rw\n'
    const swaps = 'Filename\tType\tSize\n/dev/dm-0 partition 1 0 -2\n'
    const texts = fc.tuple(damaged([mounts]), damaged([swaps]), fc.oneof(fc.constant('fe:0'), noise))
    const device = {
      name: 'dm-0',
      major: 254,
      minor: 0,
      sizeBytes: 0,
      isReadOnly: false,
      holders: [],
      slaves: [],
      dm: undefined,
      isVolume: true,
      sysfs: 'dm-0',
      on: undefined,
      partitions: [],
      isHeld: false,
    }
    await fc.assert(
      fc.asyncProperty(texts, async ([mountinfo, swap, backend]) => {
        const back = '/sys/bus/xen-backend/devices/vbd-1-51712'
        const files = { '/proc/self/mountinfo': mountinfo, '/proc/swaps': swap, [`${back}/physical_device`]: backend }
        const host = createMemoryFiles({ files, devices: { '/dev/dm-0': '254:0' } })
        for (const user of await findUsers(host, [device], await findXenBackends(host))) {
          ensureOneOf(user.kind, ['mount', 'swap', 'holder', 'xen-backend'], 'kind')
          ensure(user.device === 'dm-0', 'is another device', user)
        }
      })
    )
  })
})

const VALUES = printed(/^xenstore-read /).map(text => text.slice(0, -1))
const ESCAPED = ['\\x7f\\001\\xc3\\xa9', 'two\\nlines\\n', 'a\\\\b', ...VALUES]

testReader('a value xenstore-read prints', {
  read: unescapeValue,
  check: value => ensure(typeof value === 'string' && !/\p{Surrogate}/u.test(value), 'is no text', value),
  refusals: ['UNEXPECTED_OUTPUT'],
  captures: ESCAPED,
  long: ['\\', '\\\\', '\\x', '\\x41', '\\001', 'a\\n'].map(unit => megabyteOf(unit)),
})

describe('a value in xenstore', () => {
  const value = fc
    .oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: character }), damaged(VALUES))
    .filter(text => !/\p{Surrogate}/u.test(text))
  const NAMES: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\\': '\\\\' }
  const asXenstore = (byte: number): string => {
    const letter = String.fromCharCode(byte)
    return NAMES[letter] ?? (byte >= 0x20 && byte < 0x7f ? letter : `\\x${byte.toString(16).padStart(2, '0')}`)
  }

  it('is the same once escaped and read back', () => {
    fc.assert(
      fc.property(value, text => {
        expect(unescapeValue(escapeValue(text))).toBe(text)
      })
    )
  })

  it('is the same once printed, byte by byte, as xenstore-read does', () => {
    fc.assert(
      fc.property(value, text => {
        expect(unescapeValue([...Buffer.from(text)].map(asXenstore).join(''))).toBe(text)
      })
    )
  })

  it('with a backslash that escapes nothing is refused', () => {
    const stray = fc.constantFrom('\\', '\\x4', '\\xg0', '\\08', '\\q', '\\ ', '\\N')
    fc.assert(
      fc.property(value, stray, (text, wrong) => {
        expect(() => unescapeValue(`${escapeValue(text)}${wrong}`)).toThrow(
          expect.objectContaining({ code: 'UNEXPECTED_OUTPUT' })
        )
      })
    )
  })

  it('is stored whole or refused', async () => {
    const path = xenstorePath('backend/vbd/1/51712/params')
    await fc.assert(
      fc.asyncProperty(fc.oneof(noise, fc.string({ unit: character, maxLength: 5000 })), async text => {
        const check = (stored: string): void =>
          ensure(stored === text && stored.length < 4096, 'is another value', stored)
        await outcome({ read: () => checkXenstoreValue(path, text), check, refusals: ['XENSTORE_INVALID'] }, text)
      })
    )
  })
})

describe('an answer of xenstore', () => {
  const path = xenstorePath('backend/vbd/1')
  const said = fc.oneof(damaged([...ESCAPED, "xenstore-read: couldn't read path backend/vbd/1\n"]), garbage(ESCAPED))
  const result = fc.record({
    exitCode: fc.constantFrom(0, 0, 1, 127),
    stdout: said,
    stderr: fc.oneof(fc.constant(''), said),
  })

  it.each(
    [readValue(path), listChildren(path), removePath(path), pathExists(path)].map(
      command => [command.file, command] as const
    )
  )('is whole or refused: %s', async (_, command) => {
    const check = (answer: unknown): void => {
      if (typeof answer !== 'object' || answer === null)
        return ensure(typeof answer === 'boolean', 'is no answer', answer)
      ensure(
        ['value', 'names', 'done', 'refused'].some(name => name in answer),
        'is no answer',
        answer
      )
      if ('names' in answer && Array.isArray(answer.names)) for (const name of answer.names) ensureFilled(name, 'name')
    }
    await fc.assert(
      fc.asyncProperty(result, async printedThen => {
        const read = (): unknown => command.decode(printedThen)
        await outcome({ read, check, refusals: ['XENSTORE_UNAVAILABLE', 'UNEXPECTED_OUTPUT'] }, printedThen.stdout)
      })
    )
  })
})
