import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LunError } from '../../src/core/error.ts'
import { printable } from '../../src/core/printable.ts'
import { vdevName, vdevNumber } from '../../src/core/vdev.ts'

const INVALID = expect.objectContaining({ code: 'INVALID_INPUT' })

describe('a virtual disk', () => {
  // docs/man/xen-vbd-interface.7, and what libxl makes of the others.
  test.each([
    ['xvda', 51712],
    ['xvda1', 51713],
    ['xvdb', 51728],
    ['xvdp15', 51967],
    ['xvdq', 268439552],
    ['xvda16', 268435472],
    ['xvdz255', 268442111],
    ['xvdaa', 268442112],
    ['sda', 2048],
    ['sdp15', 2303],
    ['hda', 768],
    ['hdb63', 895],
    ['hdc', 5632],
    ['hdd1', 5697],
  ])('%s is %i, and back', (name, number) => {
    expect(vdevNumber(name)).toBe(number)
    expect(vdevName(number)).toBe(name)
  })

  test.each([
    ['51712', 51712],
    [51712, 51712],
    ['0', 0],
    ['2147483647', 2147483647],
    ['d0p0', 51712],
    ['d16p0', 268439552],
    ['d0p1', 51713],
  ])('%s is %i', (text, number) => expect(vdevNumber(text)).toBe(number))

  test.each([
    [''],
    ['xvd'],
    ['xvd1'],
    ['xvda0'],
    ['xvda01'],
    ['xvda256'],
    ['XVDA'],
    ['xvdA'],
    ['/dev/xvda'],
    ['sdq'],
    ['sda16'],
    ['hde'],
    ['hda64'],
    ['xvdzzzzz'],
    ['xvdzzzzzz'],
    ['d1048576p0'],
    ['d0p256'],
    ['051712'],
    ['2147483648'],
    ['0x10'],
    ['xvda\n'],
    [-1],
    [1.5],
    [2 ** 31],
    [Number.NaN],
    [undefined],
    [{}],
  ])('%j is none', value => {
    expect(() => vdevNumber(value as string)).toThrow(INVALID)
  })

  test('with a name is found by it again', () => {
    const kinds = [
      { kind: 'xvd', disks: 2 ** 20, partitions: 256 },
      { kind: 'sd', disks: 16, partitions: 16 },
      { kind: 'hd', disks: 4, partitions: 64 },
    ]
    for (const { kind, disks, partitions } of kinds) {
      fc.assert(
        fc.property(fc.nat(disks - 1), fc.nat(partitions - 1), (disk, partition) => {
          const name = vdevName(vdevNumber(`d${disk}p${partition}`))
          if (kind === 'xvd') expect(vdevNumber(name)).toBe(vdevNumber(`d${disk}p${partition}`))
          const letters = name.replace(/^xvd|\d+$/g, '')
          const other = `${kind}${letters}${partition === 0 ? '' : partition}`
          expect(vdevName(vdevNumber(other))).toBe(other)
        })
      )
    }
  })

  test('of any number has a name that leads back to it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), number => {
        expect(vdevNumber(vdevName(number))).toBe(number)
      })
    )
    // An extended number of a disk that has an old one is not the number of its name.
    expect(vdevName((1 << 28) + 1)).toBe('268435457')
    expect(vdevName(768 + 128)).toBe('896')
  })

  test('is never half understood, whatever is asked for', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        try {
          expect(vdevNumber(vdevName(vdevNumber(text)))).toBe(vdevNumber(text))
        } catch (error) {
          expect(error).toEqual(INVALID)
        }
      })
    )
  })
})

describe('text of somebody else', () => {
  test.each([
    ['no such device', 'no such device'],
    [' two\nlines\r\n', 'two lines'],
    ['a\u001b[31mred\u0007', 'a [31mred'],
    ['\u202egnp.exe\u2028\u009b', 'gnp.exe'],
    ['\0', ''],
    ['é€𝄞', 'é€𝄞'],
  ])('%j is shown as %j', (text, shown) => expect(printable(text)).toBe(shown))

  test('is one short line without anything a terminal obeys', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5000 }), text => {
        const shown = printable(text)
        expect(Array.from(shown).length).toBeLessThanOrEqual(256)
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
      })
    )
    expect(Array.from(printable('𝄞'.repeat(5000)))).toHaveLength(256)
  })

  test('is one line of an error, of any length and with its blanks', () => {
    const { message } = new LunError('UNEXPECTED_OUTPUT', `a  b\r\n\u001b[2J${'x'.repeat(1000)}\u202e\n`, {
      tool: 'iscsiadm',
      line: 1,
      text: '',
    })
    expect(message).toBe(`a  b [2J${'x'.repeat(1000)}`)
  })
})
