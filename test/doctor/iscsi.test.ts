import { describe, expect, test } from 'vitest'
import { attachLun, createNodeDb, type Executor, LunError } from 'xen-lun'
import { isIscsidListening } from '../../src/iscsi/iscsid.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { answering, createDom0, levels, look, plant, plantRecord, target } from './helpers.ts'

const LOCK = '/run/lock/iscsi/lock.write'

describe('open-iscsi', () => {
  test('is there, with its version', async () => {
    expect((await look(createDom0().host, 'open-iscsi'))[0]?.message).toContain('2.1.11')
  })

  test('is missing', async () => {
    const missing = new LunError('COMMAND_NOT_FOUND', 'iscsiadm is not installed', { file: 'iscsiadm' })
    expect(await levels(answering(createDom0().host, { iscsiadm: missing }), 'open-iscsi')).toEqual(['error'])
  })

  test('says something else', async () => {
    expect(await levels(answering(createDom0().host, { iscsiadm: 'hello\n' }), 'open-iscsi')).toEqual(['unknown'])
  })
})

describe('iscsid', () => {
  test('listens or does not', async () => {
    const dom0 = createDom0()
    expect(await levels(dom0.host, 'iscsid')).toEqual(['ok'])
    await dom0.daemons.iscsid.stop()
    expect(await levels(dom0.host, 'iscsid')).toEqual(['error'])
  })

  test.each([
    ['ffff8881: 00000002 00000000 00010000 0001 01 15014 @ISCSIADM_ABSTRACT_NAMESPACE', true],
    ['ffff8881: 00000002 00000000 00010000 0001 01 15014 @ISCSIADM_ABSTRACT_NAMESPACE@@@', true],
    ['ffff8881: 00000003 00000000 00000000 0001 03 15014 @ISCSIADM_ABSTRACT_NAMESPACE', false],
    ['ffff8881: 00000002 00000000 00010000 0001 01 15014 @ISCSIADM_ABSTRACT_NAMESPACE_2', false],
    ['ffff8881: 00000002 00000000 00010000 0001 01 15014', false],
  ])('%s', async (line, expected) => {
    const header = 'Num       RefCount Protocol Flags    Type St Inode Path'
    const files = createMemoryFiles({ files: { '/proc/net/unix': `${header}\n${line}\n` } })
    expect(await isIscsidListening(files)).toBe(expected)
  })
})

describe('the lock of the node database', () => {
  test('is free', async () => {
    expect(await levels(createDom0().host, 'database-lock')).toEqual(['ok'])
  })

  test('has been left behind by an iscsiadm', async () => {
    const dom0 = createDom0()
    await plant(dom0, LOCK, '')
    expect(await look(dom0.host, 'database-lock')).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/had one holder for over 2 s/), subject: LOCK },
    ])
  })

  test('has been left behind by a process of ours that died', async () => {
    const dom0 = createDom0()
    await plant(dom0, LOCK, 'xen-lun 7 7 0\n')
    expect((await look(dom0.host, 'database-lock'))[0]?.message).toMatch(/^Process 7 of this library died/)
  })

  test('is held by a process of ours that lives', async () => {
    const dom0 = createDom0()
    await plant(dom0, '/proc/7/stat', `7 (node) S 1${' 0'.repeat(17)} 7 0\n`)
    await plant(dom0, LOCK, 'xen-lun 7 7 0\n')
    expect((await look(dom0.host, 'database-lock'))[0]?.message).toMatch(/^Process 7, a user of this library, has held/)
  })

  test('is in use for a moment', async () => {
    const dom0 = createDom0()
    await plant(dom0, LOCK, '')
    const looking = look(dom0.host, 'database-lock')
    await dom0.host.clock.sleep(1000)
    await dom0.host.files.remove(LOCK)
    expect((await looking).map(({ level }) => level)).toEqual(['ok'])
  })
})

describe('records', () => {
  const quiet = { 'node.startup': 'manual', 'node.session.scan': 'manual' }

  test('that are as an attach wants them', async () => {
    const dom0 = createDom0()
    await plantRecord(dom0, quiet)
    for (const check of ['record-broken', 'record-startup', 'record-scan'] as const) {
      expect(await levels(dom0.host, check)).toEqual(['ok'])
    }
  })

  test.each(['automatic', 'onboot'])('that log in at boot: %s', async startup => {
    const dom0 = createDom0()
    const path = await plantRecord(dom0, { ...quiet, 'node.startup': startup })
    await plantRecord(dom0, quiet, 'iqn.2001-05.com.example:quiet')
    const advice = `Unless that is wanted: iscsiadm -m node -T iqn.2001-05.com.example:other -p 10.0.1.1:3260 -o update -n node.startup -v manual.`
    expect(await look(dom0.host, 'record-startup')).toMatchObject([{ level: 'warning', subject: path, advice }])
  })

  test.each([{ 'node.session.scan': 'auto' }, { 'node.session.scan': '' }])('that scan: %j', async scan => {
    const dom0 = createDom0()
    const path = await plantRecord(dom0, { ...quiet, ...scan })
    expect(await look(dom0.host, 'record-scan')).toMatchObject([{ level: 'warning', subject: path }])
  })

  test('that iscsiadm does not take, though we can read them', async () => {
    const dom0 = createDom0()
    await plantRecord(dom0, { ...quiet, 'node.session.conn_reopen_log_freq': '0' })
    const stderr = 'iSCSI ERROR: Unknown parameter name node.session.conn_reopen_log_freq\n'
    const { executor } = dom0.host
    const exec: Executor['exec'] = async (command, options) =>
      command.args.join(' ') === '-m node' ? { exitCode: 7, stdout: '', stderr } : await executor.exec(command, options)
    const message = expect.stringMatching(/Unknown parameter name node.session.conn_reopen_log_freq$/)
    const found = await look({ ...dom0.host, executor: { exec } }, 'record-broken')
    expect(found).toMatchObject([{ level: 'error', message }])
  })

  test('that a LUN has changed as long as it is attached', async () => {
    const dom0 = createDom0()
    const path = dom0.plantRecord({ target, portal: dom0.san.portals[0] })
    await createNodeDb(dom0.host).update({ path }, { 'node.startup': 'automatic' })
    const lun = await attachLun({ target, portals: ['10.0.1.1'] }, dom0)
    const changed = /is changed as long as a LUN of it is attached/
    expect(await look(dom0.host, 'record-startup')).toMatchObject([
      { level: 'warning', subject: path, message: expect.stringMatching(changed) },
    ])
    await lun.detach()
    expect(await look(dom0.host, 'record-startup')).toMatchObject([
      { level: 'warning', subject: path, message: expect.not.stringMatching(changed) },
    ])
  })

  test('that are damaged, empty, or discoveries', async () => {
    const dom0 = createDom0()
    const nodes = '/var/lib/iscsi/nodes/iqn.2001-05.com.example'
    const damaged = await plant(dom0, `${nodes}:a/10.0.1.1,3260`, '# BEGIN RECORD\nnode.na')
    const empty = await plant(dom0, `${nodes}:b/10.0.1.1,3260`, '')
    const discovery = await plant(dom0, '/var/lib/iscsi/send_targets/10.0.1.1,3260/st_config', 'cut')
    expect(await look(dom0.host, 'record-broken')).toMatchObject([
      { level: 'error', subject: damaged, message: expect.stringMatching(/ends in the middle of a line \(line 2\)/) },
      { level: 'warning', subject: empty },
      { level: 'warning', subject: discovery },
    ])
  })
})

describe('the service of open-iscsi', () => {
  const unit = '/usr/lib/systemd/system/open-iscsi.service'
  const wants = '/etc/systemd/system/sysinit.target.wants/open-iscsi.service'
  // Debian 13.
  const text =
    '[Service]\nExecStart=/usr/sbin/iscsiadm -m node --loginall=automatic\nExecStop=/usr/lib/open-iscsi/umountiscsi.sh\nExecStop=/bin/sync\nExecStop=/usr/lib/open-iscsi/logout-all.sh\n'

  test('is not there', async () => {
    expect(await levels(createDom0().host, 'iscsi-service')).toEqual(['ok'])
  })

  test('is disabled', async () => {
    const dom0 = createDom0()
    await plant(dom0, unit, text)
    expect(await levels(dom0.host, 'iscsi-service')).toEqual(['ok'])
  })

  test('logs out when it is stopped', async () => {
    const dom0 = createDom0()
    await plant(dom0, unit, text)
    await plant(dom0, wants, text)
    expect(await look(dom0.host, 'iscsi-service')).toMatchObject([{ level: 'warning', subject: 'open-iscsi.service' }])
  })

  test.each([
    ['/etc/systemd/system/open-iscsi.service.d/stay.conf', '[Service]\nExecStop=\n'],
    ['/etc/systemd/system/open-iscsi.service', ''], // masked: a link to /dev/null
    ['/etc/systemd/system/open-iscsi.service', '[Service]\nExecStart=/bin/true\n'],
  ])('has been told not to by %s', async (path, own) => {
    const dom0 = createDom0()
    await plant(dom0, unit, text)
    await plant(dom0, wants, text)
    await plant(dom0, path, own)
    expect(await levels(dom0.host, 'iscsi-service')).toEqual(['ok'])
  })

  test("is open-iscsi's own", async () => {
    const dom0 = createDom0()
    const stop =
      'ExecStop=/sbin/iscsiadm -m node --logoutall=automatic\nExecStop=/sbin/iscsiadm -m node --logoutall=manual\n'
    await plant(dom0, '/lib/systemd/system/iscsi.service', `[Service]\n${stop}`)
    await plant(dom0, '/etc/systemd/system/remote-fs.target.wants/iscsi.service', '')
    expect(await levels(dom0.host, 'iscsi-service')).toEqual(['warning'])
  })
})
