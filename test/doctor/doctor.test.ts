import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { attachLun, createLocalHost, doctor, type Executor, type Files, type Host } from 'xen-lun'
import { CHECKS } from '../../src/doctor/checks.ts'
import { describe as lineOf } from '../../src/host/command.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { answering, createDom0, levels, look, plant, plantRecord, target } from './helpers.ts'

const READ_ONLY = [
  'iscsiadm --version',
  'iscsiadm -m node',
  'multipathd show daemon',
  'multipathd show config local',
  'multipathd show maps json',
  'xenstore-exists -- /local/domain',
]

/** A host that can be looked at only; notes every attempt to change it. */
function readOnly(host: Host): { readonly host: Host; readonly attempts: string[] } {
  const attempts: string[] = []
  const refuse =
    (what: string) =>
    async (...args: readonly unknown[]): Promise<never> => {
      attempts.push(`${what} ${String(args[0])}`)
      throw new Error(`${what} is not for a doctor`)
    }
  const files: Files = {
    ...host.files,
    write: refuse('write'),
    replace: refuse('replace'),
    link: refuse('link'),
    remove: refuse('remove'),
    makeDirectory: refuse('makeDirectory'),
    removeDirectory: refuse('removeDirectory'),
    sync: refuse('sync'),
    withDescriptor: refuse('withDescriptor'),
  }
  const executor: Executor = {
    exec: async (command, options) =>
      READ_ONLY.includes(lineOf(command))
        ? await host.executor.exec(command, options)
        : await refuse('run')(lineOf(command)),
  }
  return { host: { files, executor, clock: host.clock, locks: { withLock: refuse('lock') } }, attempts }
}

describe('a doctor', () => {
  test('finds no error on a host that is well, and a finding of every check, in order', async () => {
    const dom0 = createDom0()
    const { findings, worst } = await doctor(dom0)
    expect([...new Set(findings.map(({ check }) => check))]).toEqual(Object.keys(CHECKS))
    // multipath-tools' default: I/O fails with the last path.
    expect(findings.filter(({ level }) => level !== 'ok').map(({ check }) => check)).toEqual(['no-path-retry'])
    expect(worst).toBe('warning')
  })

  test('gives advice with every warning and error, and none where all is well', async () => {
    const dom0 = createDom0({ faults: { stopped: ['iscsid', 'multipathd'] } })
    const { findings, worst } = await doctor(dom0)
    expect(worst).toBe('error')
    for (const { level, message, advice } of findings) {
      expect(message).toMatch(/^[^\n]+\.$/)
      expect(advice !== undefined).toBe(level === 'warning' || level === 'error')
    }
  })

  test.each([
    ['that is well', []],
    ['without daemons', ['iscsid', 'multipathd'] as const],
  ])('changes nothing on a host %s', async (_, stopped) => {
    const dom0 = createDom0({ faults: { stopped } })
    await plantRecord(dom0, { 'node.startup': 'automatic' })
    await plant(dom0, '/run/lock/iscsi/lock.write', 'xen-lun 7 7 0\n')
    await plant(dom0, '/var/lib/iscsi/nodes/iqn.2001-05.com.example:broken/10.0.1.1,3260', 'node.name')
    const { host, attempts } = readOnly(dom0.host)
    const before = dom0.state()
    await doctor({ host })
    expect(attempts).toEqual([])
    expect(dom0.state()).toEqual(before)
    expect(dom0.started.filter(line => !READ_ONLY.includes(line))).toEqual([])
  })

  test('changes nothing while a LUN is attached', async () => {
    const dom0 = createDom0()
    const lun = await attachLun({ target, portals: dom0.san.portals }, dom0)
    const before = dom0.state()
    const { host, attempts } = readOnly(dom0.host)
    expect((await doctor({ host })).findings.filter(({ level }) => level === 'error')).toEqual([])
    expect([attempts, dom0.state()]).toEqual([[], before])
    await lun.detach()
  })

  test('tells no secret', async () => {
    const dom0 = createDom0()
    const secret = 'correct horse battery staple'
    const setting = `node.session.auth.password = ${secret}\n`
    await plant(dom0, '/etc/iscsi/iscsid.conf', `${setting}node.session.timeo.replacement_timeout = ${secret}\n`)
    await plantRecord(dom0, { 'node.session.auth.password': secret, 'node.startup': 'automatic' })
    await plant(dom0, '/var/lib/iscsi/nodes/iqn.2001-05.com.example:broken/10.0.1.1,3260', `${setting}${secret}`)
    const config = 'defaults {\n\tfast_io_fail_tmo off\n}\n'
    const host = answering(dom0.host, { 'multipathd show config local': config })
    expect(JSON.stringify(await doctor({ host }))).not.toContain('horse')
  })

  test('goes on when a check fails, and says why', async () => {
    const { host } = createDom0()
    const read: Files['read'] = async path => {
      if (path === '/proc/net/unix') throw new Error('EACCES: permission denied')
      return await host.files.read(path)
    }
    const { findings } = await doctor({ host: { ...host, files: { ...host.files, read } } })
    expect(findings.filter(({ level }) => level === 'unknown')).toEqual([
      { check: 'iscsid', level: 'unknown', message: 'It could not be looked at: EACCES: permission denied.' },
    ])
  })

  test('does not wait longer than told for a file system that hangs', async () => {
    const { host } = createDom0()
    const read: Files['read'] = async path =>
      path === '/proc/net/unix' ? await new Promise(() => {}) : await host.files.read(path)
    const hanging = { ...host, files: { ...host.files, read } }
    const begunMs = host.clock.now()
    const { findings } = await doctor({ host: hanging, timeoutMs: 5000 })
    expect(host.clock.now() - begunMs).toBe(5000)
    expect(findings.find(({ check }) => check === 'iscsid')?.message).toMatch(/timed out after 5000 ms/)
    expect(findings.find(({ check }) => check === 'multipathd')?.level).toBe('ok')
  })

  test('rejects with the reason of an abort', async () => {
    const { host } = createDom0()
    const stop = new AbortController()
    const reason = new Error('enough')
    const read: Files['read'] = async () => {
      stop.abort(reason)
      return await new Promise(() => {})
    }
    const stuck = { ...host, files: { ...host.files, read } }
    await expect(doctor({ host: stuck, signal: stop.signal })).rejects.toBe(reason)
    await expect(doctor({ host, signal: stop.signal })).rejects.toBe(reason)
  })

  test('refuses a time limit that is none', async () => {
    await expect(doctor({ ...createDom0(), timeoutMs: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  test('finds its way on a machine with nothing on it', async () => {
    const executor: Executor = {
      exec: async ({ file }) => {
        throw new Error(`${file} is not there`)
      },
    }
    const { findings } = await doctor({ host: createLocalHost({ files: createMemoryFiles(), executor }) })
    expect(findings.filter(({ check }) => check.startsWith('xen')).map(({ level }) => level)).toEqual(
      Array(3).fill('unknown')
    )
  })
})

test('docs/doctor.md explains every check, and no other', async () => {
  const text = await readFile(new URL('../../docs/doctor.md', import.meta.url), 'utf8')
  const explained = [...text.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, name]) => name)
  expect(explained).toEqual(Object.keys(CHECKS))
})

test('what a check says of a stopped multipathd is told once, what needs it is unknown', async () => {
  const dom0 = createDom0()
  await dom0.daemons.multipathd.stop()
  expect(await levels(dom0.host, 'multipathd')).toEqual(['error'])
  expect(await levels(dom0.host, 'find-multipaths')).toEqual(['unknown'])
  expect(await levels(dom0.host, 'no-path-retry')).toEqual(['unknown'])
  const [{ message } = { message: '' }] = await look(dom0.host, 'replacement-timeout')
  expect(message).toMatch(/multipathd does not run/)
})
