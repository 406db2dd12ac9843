import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { iqn } from '../../src/core/iqn.ts'
import { portal, samePortal } from '../../src/core/portal.ts'
import { holderOf } from '../../src/flow/link-lock.ts'
import { formatProcessId, parseProcessId } from '../../src/host/process-id.ts'
import { readPortal, readTpgt } from '../../src/iscsi/address.ts'
import { checkPlace, readEntryName } from '../../src/iscsi/db-path.ts'
import { discover } from '../../src/iscsi/discovery.commands.ts'
import { listIfaces } from '../../src/iscsi/iface.commands.ts'
import { parseIfaces } from '../../src/iscsi/iface.parse.ts'
import { listNodes, showRecords } from '../../src/iscsi/node.commands.ts'
import { createNodeDb, type NodeDb, type NodeRecord, type NodeRecords } from '../../src/iscsi/node-db.ts'
import { parsePortals, type TargetPortal } from '../../src/iscsi/portals.parse.ts'
import {
  type NodeConfig,
  parseNodeRecords,
  readNodeConfig,
  readRecordText,
  readSettingLine,
} from '../../src/iscsi/record.parse.ts'
import { editRecord } from '../../src/iscsi/record-edit.ts'
import { type IscsiSession, isUsableSession, readSessions } from '../../src/iscsi/session.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createFakeLocks } from '../support/fake-locks.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'
import { damaged, fixture, garbage, megabyteOf, noise, numeral, printed } from './arbitraries.ts'
import {
  ensure,
  ensureFilled,
  ensureFilledOrUnknown,
  ensureInteger,
  ensureIntegerOrUnknown,
  ensureIqn,
  ensureOneOf,
  ensurePortal,
} from './checks.ts'
import { LIMIT_MS, outcome, testReader } from './reader.ts'

const TOOL = 'iscsiadm -m x'
const V1 = iqn('iqn.2001-05.com.equallogic:0-8a0906-1-vol1')
const UNEXPECTED = ['UNEXPECTED_OUTPUT'] as const
const NODES = printed(/^iscsiadm -m (?:node|discovery .*)$/)
const IPV6 = `[fd00::1]:3260,-1 ${V1}\n[]:3260,4294967295 \nsan.example.com:3261,65535 eui.02004567a425678d\n`
const IFACES = printed(/^iscsiadm -m iface$/)
const SHOWN = printed(/^iscsiadm -m node .*-o show$/)
const NODE_RECORD = fixture('iscsiadm/node-record.conf')
const DISCOVERY_RECORD = fixture('iscsiadm/discovery-record.conf')

const SETTING_VALUE = /(?<= = ).+/g

function checkTargetPortal({ target, portal: at, tpgt }: TargetPortal): void {
  ensureIqn(target)
  ensurePortal(at)
  ensureIntegerOrUnknown(tpgt, 'tpgt', 0, 65_535)
}

function checkConfig(config: NodeConfig): void {
  checkTargetPortal(config)
  ensureFilled(config.iface, 'iface')
  for (const name of ['startup', 'scan', 'authMethod', 'username', 'mutualUsername'] as const) {
    ensureFilledOrUnknown(config[name], name)
  }
  for (const name of ['loginTimeoutS', 'loginRetries', 'replacementTimeoutS'] as const) {
    ensureIntegerOrUnknown(config[name], name, -9_999_999_999)
  }
  checkSettings(config.settings)
  for (const name of config.settings.keys()) ensure(!name.includes('password'), 'is a secret', name)
}

function checkSettings(settings: ReadonlyMap<string, string>): void {
  for (const [name, value] of settings) {
    ensure(/^[^ \t\v\f\r\n=]+$/.test(name), 'is no name of a setting', name)
    ensure(value !== '' && value !== '<empty>' && !/^[ \t\v\f\r]|[ \t\v\f\r]$|\n/.test(value), 'is no value', value)
  }
}

testReader('portals iscsiadm lists', {
  read: text => parsePortals(text, TOOL),
  check: portals => portals.forEach(checkTargetPortal),
  refusals: UNEXPECTED,
  captures: [...NODES, IPV6],
  values: /[^\s,]+/g,
  items: portals => portals,
})

testReader('interfaces iscsiadm lists', {
  read: text => parseIfaces(text, TOOL),
  check: ifaces =>
    ifaces.forEach(({ name, transport, ...more }) => {
      ensure(/^\S+$/.test(name) && /^[^\s,]+$/.test(transport), 'is no interface', { name, transport })
      for (const value of Object.values(more)) {
        ensureFilledOrUnknown(value, 'attribute')
        ensure(value !== '<empty>' && !/[,\n]/.test(value ?? ''), 'is no attribute', value)
      }
    }),
  refusals: UNEXPECTED,
  captures: [...IFACES, 'b.00:10:18 bnx2i,00:10:18,fd00::5,<empty>,iqn.x\n'],
  values: /[^\s,]+/g,
  items: ifaces => ifaces,
})

testReader('records iscsiadm shows', {
  read: text => parseNodeRecords(text, TOOL),
  check: configs => configs.forEach(checkConfig),
  refusals: UNEXPECTED,
  captures: [NODE_RECORD, ...SHOWN],
  values: SETTING_VALUE,
  items: configs => configs,
})

testReader('record files', {
  read: readRecordText,
  check: ({ settings, flaw }) => {
    checkSettings(settings)
    const config = readNodeConfig(settings)
    if (typeof config === 'string') ensureFilled(config, 'reason')
    else checkConfig(config)
    if (flaw === undefined) return
    ensureInteger(flaw.line, 'line', 1)
    ensureFilled(flaw.reason, 'reason')
  },
  refusals: [],
  captures: [NODE_RECORD, DISCOVERY_RECORD],
  values: SETTING_VALUE,
  long: [' ', 'a ', '\t#', '=', ' = '].map(unit => `a${megabyteOf(unit)}b\n`),
})

testReader('names of database entries', {
  read: readEntryName,
  check: found => {
    if (found !== undefined) ensurePortal(found)
  },
  refusals: [],
  captures: ['10.0.1.1,3260', 'fd00::1,3260,1', 'san.example.com,3261,-1'],
  values: /[^,]+/g,
})

testReader('who holds a lock', {
  read: parseProcessId,
  check: holder => {
    if (holder !== undefined) ensure(/^\d+ \d+ \d+(?: \d+)?$/.test(formatProcessId(holder)), 'is no process', holder)
  },
  refusals: [],
  captures: ['4711 123456 4026531836'],
})

testReader('paths of records', {
  read: path => checkPlace(path, ['/var/lib/iscsi', '/etc/iscsi']),
  check: ({ root, kind, owner, entry, file }) => {
    ensureOneOf(root, ['/var/lib/iscsi', '/etc/iscsi'], 'root')
    ensureOneOf(kind, ['node', 'discovery'], 'kind')
    for (const name of [owner, entry, file]) {
      ensureFilledOrUnknown(name, 'name')
      ensure(name !== '.' && name !== '..' && !/[/\0]/.test(name ?? ''), 'leads elsewhere', name)
    }
    ensure(readEntryName(entry) !== undefined, 'is no entry', entry)
  },
  refusals: ['INVALID_INPUT'],
  captures: [
    `/var/lib/iscsi/nodes/${V1}/10.0.1.1,3260,1/default`,
    `/etc/iscsi/nodes/${V1}/fd00::1,3260`,
    '/var/lib/iscsi/send_targets/10.0.1.1,3260/st_config',
  ],
  values: /[^/]+/g,
})

testReader('what iscsiadm answers', {
  read: text => {
    const [exitCode = '', stdout = '', ...stderr] = text.split('\u001e')
    const result = { exitCode: Number(exitCode), stdout, stderr: stderr.join('') }
    const at = portal('10.0.1.1')
    const commands = [
      listNodes(),
      listIfaces(),
      showRecords({ target: V1 }),
      discover({ portal: at, isPersistent: false }),
    ]
    return commands[stdout.length % commands.length]?.decode(result)
  },
  check: answer => ensure(Array.isArray(answer), 'is no list', answer),
  refusals: [
    'UNEXPECTED_OUTPUT',
    'ISCSI_FAILED',
    'ISCSID_NOT_RUNNING',
    'ISCSI_DB_BUSY',
    'ISCSI_DB_BROKEN',
    'ISCSI_AUTH_FAILED',
    'ISCSI_LOGIN_REJECTED',
    'ISCSI_PORTAL_UNREACHABLE',
    'ISCSI_NO_RECORD',
    'ISCSI_LOGOUT_FAILED',
  ],
  captures: ['0\u001e', '21\u001e\u001eiscsiadm: No records found\n'],
})

const ROOT = '/var/lib/iscsi'
const NODE_PATH = `${ROOT}/nodes/${V1}/10.0.2.1,3260,1/default`

function nodeDb(files: Readonly<Record<string, string>>): { readonly db: NodeDb; readonly files: MemoryFiles } {
  const memory = createMemoryFiles({ files })
  const host = { files: memory, clock: createFakeClock(), locks: createFakeLocks() }
  return { db: createNodeDb(host, { root: ROOT }), files: memory }
}

function checkRecord(record: NodeRecord): void {
  checkConfig(record)
  const [, owner = '', entry = ''] = new RegExp(`^${ROOT}/nodes/([^/]+)/([^/]+)`).exec(record.path) ?? []
  const at = readEntryName(entry)
  ensure(record.target === owner.toLowerCase(), 'is in the folder of another target', record.path)
  ensure(at !== undefined && samePortal(at, record.portal), 'is in the folder of another portal', record.path)
  ensureFilledOrUnknown(record.password?.reveal(), 'password')
  ensureFilledOrUnknown(record.mutualPassword?.reveal(), 'password')
}

async function readAll(db: NodeDb): Promise<NodeRecords> {
  const [nodes, discovery, own] = await Promise.all([db.records(), db.discoveryRecords(), db.recordsOf(V1)])
  nodes.records.forEach(checkRecord)
  for (const { portal: at, links, settings } of discovery.records) {
    ensurePortal(at)
    links.forEach(checkTargetPortal)
    checkSettings(settings)
  }
  for (const { path, line, reason } of [...nodes.broken, ...discovery.broken]) {
    ensure(path.startsWith(ROOT), 'is somewhere else', path)
    ensureInteger(line, 'line', 1)
    ensureFilled(reason, 'reason')
  }
  expect(own.records).toEqual(nodes.records.filter(({ target }) => target === V1))
  return nodes
}

testReader('a node database with one damaged record', {
  read: async text => {
    const other = `${ROOT}/nodes/${V1}/10.0.2.1,3260,1/eth1`
    const link = `${ROOT}/send_targets/10.0.2.1,3260/st_config`
    const { db } = nodeDb({ [NODE_PATH]: text, [link]: text, [other]: NODE_RECORD })
    return { ...(await readAll(db)), other }
  },
  check: ({ records, broken, other }) => {
    ensure(
      records.some(({ path }) => path === other),
      'is hidden',
      other
    )
    ensure(
      [...records, ...broken].some(({ path }) => path === NODE_PATH),
      'is passed over',
      NODE_PATH
    )
  },
  refusals: [],
  captures: [NODE_RECORD],
})

describe('a node database', () => {
  const part = fc.oneof(
    fc.constantFrom('nodes', 'send_targets', V1, V1.toUpperCase(), '10.0.2.1,3260,1', '10.0.2.1,3260', 'default'),
    fc.constantFrom('st_config', `${V1},10.0.2.1,3260,1,default`, 'fd00::1,3260,-1', '...', 'x'),
    noise.map(text => text.replaceAll(/[/\0]/g, '_'))
  )
  const path = fc
    .tuple(fc.constantFrom('nodes', 'send_targets'), fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([folder, parts]) => [ROOT, folder, ...parts].join('/'))
  const record = fc.oneof(fc.constant(NODE_RECORD), damaged([NODE_RECORD, DISCOVERY_RECORD]), noise)

  it('is read whatever it holds, and hides no whole record', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(path, record, { noNullPrototype: true }), async tree => {
        // The record is a file, so nothing can be below it.
        const others = Object.entries(tree).filter(([name]) => !name.startsWith(`${NODE_PATH}/`))
        const files = [...others.filter(([name]) => name !== NODE_PATH), [NODE_PATH, NODE_RECORD] as const]
        const leaves = files.filter(([name]) => !files.some(([other]) => other.startsWith(`${name}/`)))
        const { records } = await readAll(nodeDb(Object.fromEntries(leaves)).db)
        expect(records.map(found => found.path)).toContain(NODE_PATH)
      })
    )
  })

  it('takes a change to any record and gives it back, or leaves the record alone', async () => {
    const settings = fc.dictionary(
      fc.constantFrom('node.startup', 'node.session.scan', 'node.session.auth.username'),
      noise,
      {
        noNullPrototype: true,
      }
    )
    const refusals = ['INVALID_INPUT', 'NODE_RECORD_BROKEN'] as const
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constant(NODE_RECORD), record), settings, async (text, changes) => {
        const { db, files } = nodeDb({ [NODE_PATH]: text })
        const read = async (): Promise<string> => {
          const change = await db.update({ path: NODE_PATH }, changes)
          const after = files.contents.get(NODE_PATH) ?? ''
          await db.putBack({ path: NODE_PATH }, change)
          return after
        }
        const done = await outcome({ read, check: () => {}, refusals }, text)
        const now = readRecordText(files.contents.get(NODE_PATH) ?? '')
        expect(now).toEqual(readRecordText(text))
        if (done.isRefused) expect(files.contents.get(NODE_PATH)).toBe(text)
        else
          for (const [name, value] of Object.entries(changes))
            expect(readRecordText(done.answer).settings.get(name) ?? '').toBe(value)
      })
    )
  })
})

describe('an edited record', () => {
  const changes = fc
    .dictionary(
      fc.constantFrom('node.startup', 'node.tpgt', 'node.conn[0].port', 'node.session.auth.password', 'x'),
      fc.constantFrom('', 'manual', 'a b', '0', 'é = #'),
      { noNullPrototype: true }
    )
    .map(values => new Map(Object.entries(values)))
  const line = fc.constantFrom(
    'node.startup = auto',
    'node.startup=',
    ' x = 1\r',
    'x = a b',
    '#x = 1',
    '# END RECORD',
    'y = x = 2'
  )
  const lines = fc.array(fc.oneof(line, noise), { maxLength: 8 }).map(all => all.join('\n'))
  const text = fc
    .oneof(lines, damaged([NODE_RECORD, DISCOVERY_RECORD]), garbage([NODE_RECORD]))
    .map(broken => `${broken}\n`)

  it('keeps every other line as it is, byte by byte', () => {
    fc.assert(
      fc.property(text, changes, (before, values) => {
        const untouched = (all: string): readonly string[] =>
          all.split('\n').filter(line => !values.has(readSettingLine(line)?.name ?? ''))
        expect(untouched(editRecord(before, values).text)).toEqual(untouched(before))
      })
    )
  })

  it('is the same text without a change', () => {
    fc.assert(
      fc.property(text, before => {
        expect(editRecord(before, new Map()).text).toBe(before)
      })
    )
  })

  it('says what it was told, once', () => {
    fc.assert(
      fc.property(text, changes, (before, values) => {
        const lines = editRecord(before, values)
          .text.split('\n')
          .map(line => readSettingLine(line))
        for (const [name, value] of values) {
          const said = lines.filter(line => line?.name === name).map(line => line?.value)
          expect(said).toEqual(value === '' ? [] : [value])
        }
      })
    )
  })
})

describe('a record file', () => {
  it('cut anywhere before its end is never taken for whole', () => {
    for (const text of [NODE_RECORD, DISCOVERY_RECORD]) {
      for (let length = 0; length < text.trimEnd().length; length++) {
        expect(readRecordText(text.slice(0, length)).flaw).toBeDefined()
      }
    }
  })
})

describe('who holds the lock', () => {
  it('reads back as it was written, and cut not at all', () => {
    const numbers = fc.nat().map(String)
    const line = fc
      .tuple(numbers, numbers, numbers, numbers)
      .map(([pid, start, namespace, timeNamespace]) => ({ pid, start, namespace, timeNamespace }))
    const property = fc.asyncProperty(line, async holder => {
      const text = `xen-lun ${formatProcessId(holder)}\n`
      const read = async (part: string) => await holderOf(createMemoryFiles({ files: { '/lock': part } }), '/lock')
      expect(await read(text)).toEqual(holder)
      for (let length = 0; length < text.length; length++) expect(await read(text.slice(0, length))).toBeUndefined()
    })
    return fc.assert(property)
  })
})

describe('an address', () => {
  it('is read, or is none', () => {
    fc.assert(
      fc.property(fc.oneof(noise, garbage(NODES)), noise, (address, port) => {
        const found = readPortal(address, port) ?? readPortal(address, '3260')
        if (found !== undefined) ensurePortal(found)
        ensureIntegerOrUnknown(readTpgt(port), 'tpgt', 0, 65_535)
      })
    )
  })
})

const SESSION = {
  targetname: V1,
  state: 'LOGGED_IN',
  ifacename: 'default',
  target_id: '0',
  tpgt: '1',
  recovery_tmo: '5',
  persistent_address: '10.0.1.1',
  persistent_port: '3260',
  address: 'fd00::1',
  port: '3261',
} as const

/** One session in sysfs, as Linux 6.12 shows it. */
function sysfs(attributes: Readonly<Record<string, string>>, sid = '1', host = '2'): MemoryFiles {
  const session = `/sys/devices/platform/host${host}/session${sid}/iscsi_session/session${sid}`
  const connection = `/sys/devices/platform/host${host}/session${sid}/connection${sid}:0/iscsi_connection/x`
  const files = Object.entries(attributes).map(([name, value]) => {
    const folder = /address|port/.test(name) ? connection : session
    return [`${folder}/${name}`, `${value}\n`] as const
  })
  const links = {
    [`/sys/class/iscsi_session/session${sid}`]: session,
    [`/sys/class/iscsi_connection/connection${sid}:0`]: connection,
  }
  return createMemoryFiles({ files: Object.fromEntries(files), links })
}

function checkSession(session: IscsiSession): void {
  const { sid, target, host, targetId, iface, state, rawState, persistentPortal, currentPortal } = session
  ensureIqn(target)
  ensureInteger(sid, 'sid')
  ensureIntegerOrUnknown(host, 'host', 0, 999_999_999)
  ensureIntegerOrUnknown(targetId, 'target id', 0, 999_999_999)
  ensureFilled(iface, 'iface')
  if (rawState !== undefined) ensureFilled(rawState, 'state')
  ensureOneOf(state, ['logged-in', 'failed', 'free', 'unbound', 'unknown'], 'state')
  if (isUsableSession(session)) ensureInteger(session.host + session.targetId, 'numbers')
  for (const { host: name, port } of [persistentPortal, currentPortal].filter(portal => portal !== undefined)) {
    ensureInteger(port, 'port', 1, 65_535)
    ensure(name !== '' && name === name.toLowerCase() && name === name.trim(), 'is no host', name)
  }
  ensureIntegerOrUnknown(session.tpgt, 'tpgt', 0, 65_535)
  ensureIntegerOrUnknown(session.recoveryTimeoutS, 'timeout')
}

describe('sessions', () => {
  const names = Object.keys(SESSION)
  const value = fc.oneof(
    fc.constantFrom('', '(null)', '-1', '4294967295', '65536', '0', '99999999', ...Object.values(SESSION)),
    damaged(Object.values(SESSION)),
    noise
  )
  const number = fc.oneof(
    numeral,
    noise.map(text => text.replaceAll('/', ''))
  )

  it('are whole or left out, whatever sysfs holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 2 }),
        number,
        number,
        async (changes, sid, host) => {
          const sessions = await readSessions(sysfs({ ...SESSION, ...changes }, sid, host))
          sessions.forEach(checkSession)
          expect(sessions.length).toBeLessThanOrEqual(1)
        }
      )
    )
  })

  it.each(names)('are read within a second with a megabyte in %s', async name => {
    for (const unit of ['x', '\n', ' ', '0', '/host1/session1/']) {
      const read = async (): Promise<readonly IscsiSession[]> =>
        await readSessions(sysfs({ ...SESSION, [name]: megabyteOf(unit) }))
      const check = (sessions: readonly IscsiSession[]): void => sessions.forEach(checkSession)
      expect((await outcome({ read, check, refusals: [] }, '')).ms).toBeLessThan(LIMIT_MS)
    }
  })
})
