import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { portal } from '../../src/core/portal.ts'
import { Secret } from '../../src/core/secret.ts'
import { chapSettings } from '../../src/iscsi/chap.ts'
import { createNodeDb } from '../../src/iscsi/node-db.ts'
import type { StandingRecord } from '../../src/iscsi/standing-record.ts'
import { failureOf, fixture, recordText, type TestHost, testHost, V1, V2 } from './fixtures.ts'

const NODES = '/var/lib/iscsi/nodes'
const PATH = `${NODES}/${V1}/10.0.2.1,3260,1/default`
const HUSH = 'hush # hush = é'

const at = (address: string, values: Readonly<Record<string, string>> = {}): string =>
  recordText({ 'node.conn[0].address': address, ...values })

function database(files: Readonly<Record<string, string>> = { [PATH]: recordText() }) {
  const host = testHost(undefined, files)
  return { ...host, db: createNodeDb(host) }
}

/** How many records were written; to take the lock writes a file, too. */
function changedRecords({ modes }: TestHost['files']): number {
  return [...modes.keys()].filter(path => path.startsWith(NODES)).length
}

describe('node records', () => {
  it('are none in an empty database', async () => {
    expect(await database({}).db.records()).toEqual({ records: [], broken: [] })
  })

  it('are read from both layouts, IPv6 and unknown tpgt included', async () => {
    const { db } = database({
      [PATH]: recordText(),
      [`${NODES}/${V1}/10.0.1.1,3260`]: at('10.0.1.1', { 'node.tpgt': '-1' }),
      [`${NODES}/${V1}/fd00::1,3260,1/eth1`]: at('FD00::1', { 'iface.iscsi_ifacename': 'eth1' }),
      [`${NODES}/${V2}/san.example.com,3261/default`]: at('san.example.com', {
        'node.name': V2,
        'node.conn[0].port': '3261',
      }),
    })
    const { records, broken } = await db.records()
    expect(broken).toEqual([])
    expect(
      records.map(({ path, target, portal: { host, port }, tpgt, iface }) => [path, target, host, port, tpgt, iface])
    ).toEqual([
      [`${NODES}/${V1}/10.0.1.1,3260`, V1, '10.0.1.1', 3260, undefined, 'default'],
      [PATH, V1, '10.0.2.1', 3260, 1, 'default'],
      [`${NODES}/${V1}/fd00::1,3260,1/eth1`, V1, 'fd00::1', 3260, 1, 'eth1'],
      [`${NODES}/${V2}/san.example.com,3261/default`, V2, 'san.example.com', 3261, 1, 'default'],
    ])
  })

  it('hold what open-iscsi wrote, the secrets wrapped', async () => {
    const chap = {
      'node.session.auth.username': 'dom0',
      'node.session.auth.password': HUSH,
      'node.session.auth.password_in': 'other',
    }
    const { db } = database({ [PATH]: recordText({ ...chap, 'node.startup': 'automatic' }) })
    const [record] = (await db.recordsOf(V1)).records
    expect(record).toMatchObject({
      startup: 'automatic',
      scan: 'auto',
      username: 'dom0',
      loginTimeoutS: 15,
      loginRetries: 8,
    })
    expect(record?.password?.reveal()).toBe(HUSH)
    expect(record?.mutualPassword?.reveal()).toBe('other')
    expect(record?.settings.get('node.session.iscsi.FirstBurstLength')).toBe('262144')
    expect([...(record?.settings.values() ?? [])]).not.toContain(HUSH)
    expect(JSON.stringify(record)).not.toContain('hush')
  })

  it('of one target are found without reading any other', async () => {
    const host = testHost(undefined, {
      [`${NODES}/${V1.toUpperCase()}/10.0.2.1,3260,1/default`]: recordText(),
      [`${NODES}/${V2}/10.0.2.1,3260,1/default`]: 'broken',
    })
    const touched: string[] = []
    const files = {
      ...host.files,
      read: async (path: string) => {
        touched.push(path)
        return await host.files.read(path)
      },
    }
    expect((await createNodeDb({ ...host, files }).recordsOf(V1)).records).toHaveLength(1)
    expect(touched.filter(path => path.includes(V2))).toEqual([])
  })

  it.each([
    [{}, '/var/lib/iscsi'],
    [{ '/etc/iscsi/nodes/x/y': '' }, '/etc/iscsi'],
    [{ '/etc/iscsi/nodes/x/y': '', '/var/lib/iscsi/nodes/x/y': '' }, '/var/lib/iscsi'],
  ])('are looked for where there are any', async (others, root) => {
    const host = testHost(undefined, others)
    host.files.directories.add('/var/lib/iscsi/nodes')
    const { broken } = await createNodeDb(host).records()
    expect(broken.map(({ path }) => path)).toEqual(Object.keys(others).filter(path => path.startsWith(root)))
  })
})

describe('a damaged record', () => {
  const half = recordText().slice(0, 700)
  it.each([
    ['an empty file', { [PATH]: '' }, PATH, 'is empty'],
    ['cut in a line', { [PATH]: half }, PATH, 'ends in the middle of a line'],
    ['cut after a line', { [PATH]: half.slice(0, half.lastIndexOf('\n') + 1) }, PATH, 'is cut off before its end'],
    ['garbage', { [PATH]: '\u0000\u0001\n' }, PATH, 'is no setting'],
    ['without a name', { [PATH]: recordText({ 'node.name': '<empty>' }) }, PATH, 'holds no iSCSI name in node.name'],
    ['without a portal', { [PATH]: at('') }, PATH, 'holds no portal in node.conn[0].address and node.conn[0].port'],
    ['of another portal', { [PATH]: at('10.0.0.9') }, PATH, `is about ${V1} at 10.0.0.9:3260`],
    ['of another target', { [PATH]: recordText({ 'node.name': V2 }) }, PATH, `is about ${V2} at 10.0.2.1:3260`],
    [
      'a stray file',
      { [`${NODES}/${V1}/.tmp1`]: recordText() },
      `${NODES}/${V1}/.tmp1`,
      'is not named ADDRESS,PORT or ADDRESS,PORT,TPGT',
    ],
    ['a file for a folder', { [`${NODES}/x`]: recordText() }, `${NODES}/x`, 'is a file in the place of a folder'],
  ])('(%s) is reported and hides no other', async (_what, files, path, reason) => {
    const good = `${NODES}/${V1}/10.0.1.1,3260,1/default`
    const { records, broken } = await database({ ...files, [good]: at('10.0.1.1') }).db.records()
    expect(records.map(record => record.path)).toEqual([good])
    expect(broken).toEqual([{ path, line: expect.any(Number), reason }])
  })

  it('is told with its line', async () => {
    const text = recordText().replace('node.tpgt = 1', 'node.tpgt')
    expect((await database({ [PATH]: text }).db.records()).broken).toEqual([
      { path: PATH, line: 3, reason: 'is no setting' },
    ])
  })

  it('that iscsiadm is just rewriting is looked at again', async () => {
    const host = testHost(undefined, { [PATH]: '' })
    const clock = {
      ...host.clock,
      sleep: async (ms: number) => {
        await host.clock.sleep(ms)
        host.files.contents.set(PATH, recordText())
      },
    }
    expect(await createNodeDb({ ...host, clock }).records()).toMatchObject({ records: [{ path: PATH }], broken: [] })
  })

  it('that goes while being read is no record', async () => {
    const host = testHost(undefined, { [PATH]: recordText() })
    const files = { ...host.files, read: async () => undefined }
    expect(await createNodeDb({ ...host, files }).records()).toEqual({ records: [], broken: [] })
  })

  it('never makes reading fail, whatever it holds', async () => {
    const line = fc.oneof(fc.string(), fc.constantFrom(...recordText().split('\n')))
    const name = fc.oneof(
      fc.constantFrom('10.0.2.1,3260,1', '10.0.2.1,3260', 'x', ',', 'fd00::1,1'),
      fc.stringMatching(/^[^/\0]{1,20}$/)
    )
    await fc.assert(
      fc.asyncProperty(fc.array(line), name, async (lines, entry) => {
        const { records, broken } = await database({ [`${NODES}/${V1}/${entry}`]: lines.join('\n') }).db.records()
        expect(records.length + broken.length).toBe(1)
      })
    )
  })
})

describe('discovery records', () => {
  const ST = '/var/lib/iscsi/send_targets'
  it('are read with their links', async () => {
    const { db } = database({
      [`${ST}/10.0.1.1,3260/st_config`]: fixture('discovery-record.conf'),
      [`${ST}/10.0.1.1,3260/${V1},10.0.2.1,3260,1,default`]: '',
      [`${ST}/10.0.1.1,3260/hello`]: '',
      [`${ST}/fd00::9,3260/st_config`]: fixture('discovery-record.conf').replace(
        '# END',
        `discovery.sendtargets.auth.username = dom0\ndiscovery.sendtargets.auth.password = ${HUSH}\n# END`
      ),
      [`${ST}/10.0.3.1,3260/st_config`]: '',
      [`${ST}/zzz/st_config`]: '',
    })
    const { records, broken } = await db.discoveryRecords()
    expect(records).toMatchObject([
      {
        path: `${ST}/10.0.1.1,3260/st_config`,
        portal: portal('10.0.1.1'),
        authMethod: 'None',
        links: [{ target: V1, portal: portal('10.0.2.1'), tpgt: 1, iface: 'default' }],
      },
      { portal: portal('fd00::9'), username: 'dom0', links: [] },
    ])
    expect(records[1]?.password?.reveal()).toBe(HUSH)
    expect(JSON.stringify(records.map(({ settings }) => [...settings]))).not.toContain('hush')
    expect(broken.map(({ path }) => path)).toEqual([
      `${ST}/10.0.1.1,3260/hello`,
      `${ST}/10.0.3.1,3260/st_config`,
      `${ST}/zzz`,
    ])
  })
})

describe('an update', () => {
  it('changes and adds settings in place, and touches nothing else', async () => {
    const { db, files } = database()
    const change = await db.update(
      { path: PATH },
      { 'node.startup': 'automatic', ...chapSettings({ username: 'dom0', password: new Secret(HUSH) }) }
    )
    expect(change.get('node.startup')).toEqual({ before: 'manual', ours: ['automatic'] })
    expect(files.contents.get(PATH)?.split('\n')).toEqual(
      recordText({
        'node.startup': 'automatic',
        'node.session.auth.authmethod': 'CHAP',
        'node.session.auth.username': 'dom0',
        'node.session.auth.password': HUSH,
      }).split('\n')
    )
  })

  it('writes mode 0600, under the lock, drafting outside the record folders', async () => {
    const host = testHost(undefined, { [PATH]: recordText() })
    const seen: unknown[] = []
    const files = {
      ...host.files,
      replace: async (path: string, text: string, mode: number, scratch?: string) => {
        const isLocked = host.files.contents.has('/run/lock/iscsi/lock.write')
        if (!path.startsWith('/run/lock/')) seen.push([path, mode, scratch, isLocked])
        await host.files.replace(path, text, mode, scratch)
      },
    }
    await createNodeDb({ ...host, files }).update({ path: PATH }, { 'node.session.scan': 'manual' })
    expect(seen).toEqual([[PATH, 0o600, '/var/lib/iscsi', true]])
    expect(host.files.contents.has('/run/lock/iscsi/lock.write')).toBe(false)
  })

  it('of what is so already writes nothing', async () => {
    const { db, files } = database()
    const change = await db.update({ path: PATH }, { 'node.session.scan': 'auto', ...chapSettings(undefined) })
    expect(change.size).toBe(0)
    expect(changedRecords(files)).toBe(0)
    await db.putBack({ path: PATH }, change)
    expect(files.contents.get(PATH)).toBe(recordText())
  })

  it('takes a setting out when it is empty, every line of it', async () => {
    const twice = recordText({ 'node.session.auth.username': 'a' }).replace(
      '# END',
      'node.session.auth.username = b\n# END'
    )
    const { db, files } = database({ [PATH]: twice })
    const change = await db.update({ path: PATH }, { 'node.session.auth.username': '' })
    expect(files.contents.get(PATH)).toBe(recordText())
    await db.putBack({ path: PATH }, change)
    expect(files.contents.get(PATH)).toContain('node.session.auth.username = b\n')
  })

  it('keeps comments, unknown names and odd spacing', async () => {
    const odd = recordText().replace(
      'node.startup = manual',
      '  # node.startup = x\n\nnode.startup   =manual\nvendor.thing = 7'
    )
    const { db, files } = database({ [PATH]: odd })
    await db.update({ path: PATH }, { 'node.startup': 'automatic' })
    expect(files.contents.get(PATH)).toBe(odd.replace('node.startup   =manual', 'node.startup = automatic'))
  })

  it('reads values without the blanks around them, and writes a setting once', async () => {
    const twice = recordText().replace(
      'node.startup = manual',
      ' node.startup =  automatic \t\r\nnode.startup = onboot '
    )
    const { db, files } = database({ [PATH]: twice })
    expect((await db.recordsOf(V1)).records[0]?.startup).toBe('onboot')
    await db.update({ path: PATH }, { 'node.startup': 'manual' })
    expect(files.contents.get(PATH)).toBe(recordText())
  })

  it('can be taken back, except for what somebody changed since', async () => {
    const { db, files } = database()
    const change = await db.update(
      { path: PATH },
      { 'node.startup': 'automatic', 'node.session.scan': 'manual', 'node.session.auth.username': 'a' }
    )
    await db.update({ path: PATH }, { 'node.startup': 'onboot', 'node.session.queue_depth': '64' })
    await db.putBack({ path: PATH }, change)
    expect(files.contents.get(PATH)).toBe(recordText({ 'node.startup': 'onboot', 'node.session.queue_depth': '64' }))
    files.contents.delete(PATH)
    await db.putBack({ path: PATH }, change)
    expect(files.contents.has(PATH)).toBe(false)
  })

  it('reads back as it was written, and restores the very text', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('\u00a0', '\u2028', '\ufeff', '#', '=', ' ', '\t')
    )
    const value = fc
      .array(piece, { minLength: 1, maxLength: 8 })
      .map(pieces => pieces.join('').slice(0, 60))
      .filter(text => text !== '' && text !== '<empty>' && !/[\0\r\n]|^[ \t\v\f]|[ \t\v\f]$/.test(text))
    await fc.assert(
      fc.asyncProperty(value, value, async (username, password) => {
        const { db, files } = database()
        const change = await db.update({ path: PATH }, chapSettings({ username, password: new Secret(password) }))
        const [record] = (await db.recordsOf(V1)).records
        expect([record?.username, record?.password?.reveal()]).toEqual([username, password])
        await db.putBack({ path: PATH }, change)
        expect(files.contents.get(PATH)).toBe(recordText())
      })
    )
  })

  it.each<[string, Record<string, string | Secret>]>([
    ['nothing', {}],
    ['a name that identifies the record', { 'node.name': V2 }],
    ['a name this record and some open-iscsi do not know', { 'node.session.bogus': '1' }],
    ['a line break', { 'node.startup': 'manual\nnode.bogus = 1' }],
    ['a secret with a line break', { 'node.session.auth.password': new Secret(`${HUSH}\n`) }],
  ])('is refused for %s, and nothing is written', async (_what, settings) => {
    const { db, files } = database()
    const error = await failureOf(db.update({ path: PATH }, settings), 'INVALID_INPUT')
    expect(JSON.stringify([error.message, error.details])).not.toContain('hush')
    expect([files.contents.get(PATH), changedRecords(files)]).toEqual([recordText(), 0])
  })

  it('of a record that is gone or damaged is refused', async () => {
    const { db, files } = database({ [PATH]: '' })
    expect(
      (await failureOf(db.update({ path: PATH }, { 'node.startup': 'manual' }), 'NODE_RECORD_BROKEN')).details
    ).toEqual({
      path: PATH,
      line: 1,
      reason: 'is empty',
    })
    files.contents.delete(PATH)
    await failureOf(db.update({ path: PATH }, { 'node.startup': 'manual' }), 'ISCSI_NO_RECORD')
  })

  it('waits for iscsiadm, not for ever', async () => {
    const host = testHost(undefined, { [PATH]: recordText(), '/run/lock/iscsi/lock.write': '' })
    const db = createNodeDb(host, { lockTimeoutMs: 500 })
    await failureOf(db.update({ path: PATH }, { 'node.startup': 'manual' }), 'LOCK_TIMEOUT')
    await failureOf(db.remove(PATH), 'LOCK_TIMEOUT')
    expect(host.files.contents.get(PATH)).toBe(recordText())
  })
})

describe('removing', () => {
  it('deletes the record, the links to it and the folders left empty', async () => {
    const link = `${V1},10.0.2.1,3260,1,default`
    const host = testHost(undefined, {
      [PATH]: recordText(),
      [`${NODES}/${V2}/10.0.2.1,3260`]: recordText({ 'node.name': V2 }),
    })
    for (const folder of [`${NODES}/${V1}`, `${NODES}/${V1}/10.0.2.1,3260,1`]) host.files.directories.add(folder)
    for (const folder of ['static', 'send_targets/10.0.1.1,3260']) {
      host.files.links.set(`/var/lib/iscsi/${folder}/${link}`, `${NODES}/${V1}/10.0.2.1,3260,1`)
    }
    const db = createNodeDb(host)
    expect(await db.remove(PATH)).toBe(true)
    expect([...host.files.contents.keys()]).toEqual([`${NODES}/${V2}/10.0.2.1,3260`])
    expect(host.files.links.size).toBe(0)
    expect([...host.files.directories]).toEqual(['/run/lock/iscsi'])
    expect(await db.remove(PATH)).toBe(false)
  })

  it('leaves the records beside it alone', async () => {
    const other = `${NODES}/${V1}/10.0.2.1,3260,1/eth1`
    const { db, files } = database({ [PATH]: recordText(), [other]: recordText({ 'iface.iscsi_ifacename': 'eth1' }) })
    expect(await db.remove(PATH)).toBe(true)
    expect(files.contents.has(other)).toBe(true)
  })

  it('removes damaged records, too', async () => {
    const { db, files } = database({ [PATH]: '' })
    expect(await db.remove(PATH)).toBe(true)
    expect(files.contents.has(PATH)).toBe(false)
  })

  it.each([
    '',
    '/',
    '/etc/passwd',
    '/var/lib/iscsi',
    NODES,
    `${NODES}/${V1}`,
    `${PATH}/x`,
    `${NODES}/${V1}/x/default`,
    `${NODES}/${V1}/../${V1}/10.0.2.1,3260`,
    `${NODES}/../../10.0.2.1,3260/x`,
    `${NODES}/${V1}/10.0.2.1,3260/..`,
    '/var/lib/iscsi/send_targets/../st_config',
    `/tmp${PATH}`,
    `${NODES}//10.0.2.1,3260/default`,
  ])('of %j is refused', async path => {
    const { db, files } = database({ [PATH]: recordText(), '/etc/passwd': 'x' })
    await failureOf(db.remove(path), 'INVALID_INPUT')
    expect([...files.contents.keys()]).toEqual([PATH, '/etc/passwd'])
  })

  it('deletes a discovery record with its links', async () => {
    const folder = '/var/lib/iscsi/send_targets/10.0.1.1,3260'
    const host = testHost(undefined, {
      [PATH]: recordText(),
      [`${folder}/st_config`]: fixture('discovery-record.conf'),
    })
    host.files.directories.add(folder)
    host.files.links.set(`${folder}/${V1},10.0.2.1,3260,1,default`, `${NODES}/${V1}/10.0.2.1,3260,1`)
    expect(await createNodeDb(host).remove(`${folder}/st_config`)).toBe(true)
    expect([...host.files.contents.keys()]).toEqual([PATH])
    expect([host.files.links.size, host.files.directories.has(folder)]).toEqual([0, false])
  })

  it('asks what stands there, under the lock, and leaves what is not wanted', async () => {
    const host = testHost(undefined, { [PATH]: recordText({ 'node.session.auth.password': HUSH }) })
    const db = createNodeDb(host)
    const seen: unknown[] = []
    const onlyIf = ({ settings, flaw, links }: StandingRecord): boolean => {
      const isLocked = host.files.contents.has('/run/lock/iscsi/lock.write')
      seen.push([settings.get('node.session.auth.password'), flaw, links, isLocked])
      return seen.length > 1
    }
    expect(await db.remove(PATH, { onlyIf })).toBe(false)
    expect(host.files.contents.has(PATH)).toBe(true)
    expect(await db.remove(PATH, { onlyIf })).toBe(true)
    expect(seen).toEqual(Array.from({ length: 2 }, () => [HUSH, undefined, [], true]))
    expect(await db.remove(PATH, { onlyIf })).toBe(false)
    expect(seen).toHaveLength(2)
  })

  it('follows no link out of the database', async () => {
    const host = testHost(undefined, { '/home/x/default': recordText() })
    host.files.links.set(`${NODES}/${V1}/10.0.2.1,3260,1`, '/home/x')
    const db = createNodeDb(host)
    await failureOf(db.remove(PATH), 'INVALID_INPUT')
    await failureOf(db.update({ path: PATH }, { 'node.startup': 'automatic' }), 'INVALID_INPUT')
    expect(host.files.contents.get('/home/x/default')).toBe(recordText())
  })

  it('works where the database itself is a link', async () => {
    const host = testHost(undefined, { [`/data/iscsi${PATH.slice('/var/lib/iscsi'.length)}`]: recordText() })
    host.files.links.set('/var/lib/iscsi', '/data/iscsi')
    expect(await createNodeDb(host).remove(PATH)).toBe(true)
  })
})
