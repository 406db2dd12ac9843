import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { formatPortal, portal, samePortal } from '../../src/core/portal.ts'
import { readPortal, readPortalName } from '../../src/iscsi/address.ts'
import { parseIfaces } from '../../src/iscsi/iface.parse.ts'
import { parsePortals } from '../../src/iscsi/portals.parse.ts'
import { parseNodeRecords, readNodeConfig, readRecordText } from '../../src/iscsi/record.parse.ts'
import { failureOf, fixture, V1 } from './fixtures.ts'

const TOOL = 'iscsiadm -m x'

describe('portals', () => {
  it('are read from IPv4, IPv6 and DNS lines, with an unknown tpgt left out', () => {
    const text = [
      `10.0.0.1:3260,1 ${V1}`,
      `[FD00::1]:3261,-1 ${V1}`,
      `san.example.com:3260,4294967295 ${V1.toUpperCase()}`,
      `10.0.0.2:3260,65535 eui.02004567a425678d`,
      '',
    ].join('\n')
    expect(parsePortals(text, TOOL)).toEqual([
      { target: V1, portal: portal('10.0.0.1'), tpgt: 1 },
      { target: V1, portal: portal('[fd00::1]:3261'), tpgt: undefined },
      { target: V1, portal: portal('san.example.com'), tpgt: undefined },
      { target: 'eui.02004567a425678d', portal: portal('10.0.0.2'), tpgt: 65_535 },
    ])
  })

  it('survive the junk row of an empty record and names nobody can use', () => {
    const text = `[]:3260,4294967295 \n[]:3260,4294967295 ${V1}\n10.0.0.1:3260,1 iqn.not-one\n10.0.0.1:0,1 ${V1}\n[fe80::1%2]:3260,1 ${V1}\n10.0.0.9:3260,1 ${V1}\n`
    expect(parsePortals(text, TOOL)).toEqual([
      { target: V1, portal: { host: 'fe80::1%2', port: 3260 }, tpgt: 1 },
      { target: V1, portal: portal('10.0.0.9'), tpgt: 1 },
    ])
  })

  it.each([
    'hello',
    '10.0.0.1,1 iqn.2001-05.com.x',
    '10.0.0.1:3260 iqn.2001-05.com.x',
    '10.0.0.1:3260,1',
    '10.0.0.1:3260,1 a b',
  ])('refuse the line %j and name it', async line => {
    const error = await failureOf(() => parsePortals(`10.0.0.1:3260,1 ${V1}\n${line}\n`, TOOL), 'UNEXPECTED_OUTPUT')
    expect(error.details).toEqual({ tool: TOOL, line: 2, text: line })
  })
})

describe('ifaces', () => {
  it('are read with what is set', () => {
    expect(
      parseIfaces('eth1 tcp,<empty>,10.0.0.5,eth1,<empty>\nb.00:10:18 bnx2i,00:10:18,fd00::5,<empty>,iqn.x\n', TOOL)
    ).toEqual([
      { name: 'eth1', transport: 'tcp', address: '10.0.0.5', netdev: 'eth1' },
      { name: 'b.00:10:18', transport: 'bnx2i', hardwareAddress: '00:10:18', address: 'fd00::5', initiator: 'iqn.x' },
    ])
  })

  it.each(['eth1', 'eth1 tcp', 'eth1 tcp,a,b,c', 'eth1 tcp,a,b,c,d,e'])('refuse the line %j', async line => {
    expect((await failureOf(() => parseIfaces(line, TOOL), 'UNEXPECTED_OUTPUT')).details.line).toBe(1)
  })
})

describe('shown records', () => {
  const begin = '# BEGIN RECORD 2.1.11\n'
  const body = `node.name = ${V1}\nnode.conn[0].address = fd00::1\nnode.conn[0].port = 3260\nnode.session.auth.password = ********\niface.hwaddress = <empty>\n`

  it('are read whole, without secrets and empty values', () => {
    const [config, ...more] = parseNodeRecords(`${begin}${body}# END RECORD\n`, TOOL)
    expect(more).toEqual([])
    expect(config).toMatchObject({ target: V1, portal: portal('fd00::1'), iface: 'default', tpgt: undefined })
    expect([...(config?.settings.keys() ?? [])]).toEqual(['node.name', 'node.conn[0].address', 'node.conn[0].port'])
  })

  it.each([
    ['cut off', `${begin}${body}`, 1],
    ['begun twice', `${begin}${begin}`, 2],
    ['without a begin', body, 1],
    ['without a name', `${begin}node.tpgt = 1\n# END RECORD\n`, 1],
    ['with a line that is none', `${begin}${body}hello\n`, 7],
  ])('are refused when %s', async (_what, text, line) => {
    expect((await failureOf(() => parseNodeRecords(text, TOOL), 'UNEXPECTED_OUTPUT')).details.line).toBe(line)
  })
})

describe('record files', () => {
  it('of the real thing read as they are', () => {
    const { settings, flaw } = readRecordText(fixture('node-record.conf'))
    expect(flaw).toBeUndefined()
    expect(readNodeConfig(settings)).toMatchObject({
      target: V1,
      portal: portal('10.0.2.1'),
      tpgt: 1,
      iface: 'default',
      startup: 'manual',
      scan: 'auto',
      authMethod: 'None',
      loginTimeoutS: 15,
      loginRetries: 8,
      replacementTimeoutS: 120,
    })
  })

  it('cut anywhere before the end are never taken for whole', () => {
    const text = fixture('node-record.conf').trimEnd()
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length - 1 }), cut => {
        expect(readRecordText(text.slice(0, cut)).flaw).toBeDefined()
      })
    )
  })
})

describe('every reader', () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '# BEGIN RECORD',
      '# END RECORD',
      'a = b',
      'node.name = x',
      `10.0.0.1:3260,1 ${V1}`,
      '<empty>',
      '[]:1,1 '
    ),
    fc.string({ unit: fc.constantFrom('[', ']', ':', ',', ' ', '1', '-', '=', '#', '\0', '\r', '<', 'é') })
  )
  const text = fc.array(line, { maxLength: 20 }).map(lines => lines.join('\n'))
  const readers = { parsePortals, parseIfaces, parseNodeRecords }

  it.each(Object.entries(readers))('%s answers or says which line it did not expect', (_name, read) => {
    fc.assert(
      fc.property(text, input => {
        try {
          expect(Array.isArray(read(input, TOOL))).toBe(true)
        } catch (error) {
          if (!isLunError(error, 'UNEXPECTED_OUTPUT')) throw error
          expect(error.details.line).toBeGreaterThanOrEqual(1)
          expect(error.details.line).toBeLessThanOrEqual(input.split('\n').length)
          expect(error.details.text.length).toBeLessThanOrEqual(200)
        }
      }),
      { numRuns: 500 }
    )
  })

  it('of record files always answers', () => {
    fc.assert(
      fc.property(text, input => {
        expect(readRecordText(input).settings).toBeInstanceOf(Map)
      })
    )
  })

  const million = 1_000_000
  it.each(['[', ' ', '=', '1', ',', ':', 'a ', '\n', '# ', '10.0.0.1:3260,1 '].map(unit => [unit]))(
    'ends on a megabyte of %j',
    unit => {
      const garbage = unit.repeat(million / unit.length)
      for (const read of Object.values(readers)) {
        try {
          read(garbage, TOOL)
        } catch (error) {
          expect(isLunError(error, 'UNEXPECTED_OUTPUT')).toBe(true)
        }
      }
      readRecordText(garbage)
      readRecordText(`${garbage}\n`)
    }
  )
})

describe('a portal, as the host says it,', () => {
  it.each([
    ['10.0.0.1', '3260', '10.0.0.1', '10.0.0.1:3260'],
    ['FD00::1', '3261', 'fd00::1', '[fd00::1]:3261'],
    ['FE80::1%eth1', '3260', 'fe80::1%eth1', '[fe80::1%eth1]:3260'],
    ['san_1.Example.lan', '3260', 'san_1.example.lan', 'san_1.example.lan:3260'],
  ])('is what iscsiadm takes: %s', (address, port, host, name) => {
    const found = readPortal(address, port)
    expect(found).toEqual({ host, port: Number(port) })
    expect(found === undefined ? '' : formatPortal(found)).toBe(name)
    expect(readPortalName(name)).toEqual(found)
  })

  it.each([
    ['', '3260'],
    ['10.0.0.1', '0'],
    ['10.0.0.1', '65536'],
    ['10.0.0.1', ''],
    ['a b', '3260'],
    ['fe80::1%', '3260'],
    ['fe80::1%a/b', '3260'],
    ['10.0.0.1%eth1', '3260'],
    ['-x', '3260'],
    ['10.0.0.300', '3260'],
    ['.0.0.1', '3260'],
    ['a,b', '3260'],
  ])('is none of %s and %s', (address, port) => {
    expect(readPortal(address, port)).toBeUndefined()
  })

  it('is the same however the address before its zone is written, and not through another interface', () => {
    const at = (host: string) => ({ host, port: 3260 })
    expect(samePortal(at('fe80::1%eth1'), at('fe80:0::1%eth1'))).toBe(true)
    expect(samePortal(at('fe80::1%eth1'), at('fe80::1%eth2'))).toBe(false)
    expect(samePortal(at('fe80::1%eth1'), at('fe80::1'))).toBe(false)
  })
})
