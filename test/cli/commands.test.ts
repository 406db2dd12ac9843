import { describe, expect, test } from 'vitest'
import { attachLun, createXenstore, listAttachments } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { Interrupted } from '../../src/cli/io.ts'
import { attach, backendPath, createDom0, guest, killAt, startGuest, target } from '../lun/helpers.ts'
import { warm } from '../lun/holds.ts'
import { cli, json } from './helpers.ts'

const wwid = '360014058a0906aaaaaa0001000000000'

describe('status', () => {
  /** Cells of the only row, by column. */
  async function row({ host }: Pick<SimulatedDom0, 'host'>): Promise<Readonly<Record<string, string>>> {
    const { stdout } = await cli(host, ['status'])
    const [head = '', line = ''] = stdout.split('\n')
    const starts = [...head.matchAll(/[A-Z]+/g)]
    return Object.fromEntries(
      starts.map((match, n) => [match[0], line.slice(match.index, starts[n + 1]?.index).trim()] as const)
    )
  }

  test('says that nothing is attached', async () => {
    const { host } = createDom0()
    expect(await cli(host, ['status'])).toEqual({ exitCode: 0, stdout: 'nothing is attached\n', stderr: '' })
    expect(await json(host, ['status'])).toEqual({ attachments: [], unknown: {} })
  })

  test('prints what others have named without what a terminal would obey', async () => {
    const dom0 = createDom0()
    const { map } = await attach(dom0)
    const { files } = dom0.host
    const read: typeof files.read = async path =>
      (await files.read(path))?.replace(map?.name ?? '', 'vm\u001b[2J\u009b\u202e')
    const { stdout } = await cli({ ...dom0.host, files: { ...files, read } }, ['status'])
    expect(stdout).toContain('vm [2J')
    expect(stdout).not.toMatch(/[^\P{C}\n]/u)
  })

  test('lists what is attached, its paths and its owners, and in JSON all of it', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'backup')
    await startGuest(dom0)
    await attach(dom0, 1)
    const second = wwid.replace('0001', '0002')
    expect(await cli(dom0.host, ['status'])).toEqual({
      exitCode: 0,
      stdout: `TARGET                       LUN  WWID                               DEVICE                                         PATHS  STATE  OWNERS
${target}  0    ${wwid}  /dev/mapper/${wwid}  2/2    ok     backup, guest xvda
${target}  1    ${second}  /dev/mapper/${second}  2/2    ok     default
`,
      stderr: '',
    })
    const listing: unknown = JSON.parse(JSON.stringify(await listAttachments(dom0)))
    expect(await json(dom0.host, ['status'])).toEqual(listing)
  })

  test('tells how a LUN fares', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    await dom0.san.cutPortal('10.0.2.1:3260')
    await dom0.host.clock.sleep(60_000)
    expect(await row(dom0)).toMatchObject({ PATHS: '1/2', STATE: 'degraded' })
    await dom0.san.cutPortal('10.0.1.1:3260')
    await dom0.host.clock.sleep(60_000)
    expect(await row(dom0)).toMatchObject({ PATHS: '0/2', STATE: 'no paths' })
  })

  test('shows as ? what cannot be found out, and says why', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    await dom0.daemons.multipathd.stop()
    await dom0.daemons.xenstored.stop()
    expect(await row(dom0)).toMatchObject({ PATHS: '?/2', STATE: '?', OWNERS: 'domain 1 ? xvda' })
    const { exitCode, stdout } = await cli(dom0.host, ['status'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^guests are unknown: \S.*\nmaps and paths are unknown: \S.*\n$/m)
  })

  test('names a disk without a map', async () => {
    const dom0 = createDom0({ faults: { stopped: ['multipathd'] } })
    await attachLun({ target, portals: dom0.san.portals.slice(0, 1), multipath: 'never' }, dom0)
    expect(await row(dom0)).toMatchObject({ DEVICE: '/dev/sda', PATHS: '1/1', STATE: 'ok' })
  })

  test('names an owner that is not done, and of another boot one LUN that is stale', async () => {
    const dom0 = createDom0()
    await killAt(dom0, /^iscsiadm .*--login/, async ({ host }) => {
      await attach(dom0, 1, { ...dom0, host })
    })
    expect(await row(dom0)).toMatchObject({ LUN: '1', WWID: '-', DEVICE: '-', OWNERS: 'default (attaching)' })
    await dom0.host.files.replace(`/run/xen-lun/luns/${target},1.json`, '{ "bootId": "another", "owners": {} }', 0o600)
    expect(await row(dom0)).toMatchObject({ STATE: 'stale', OWNERS: '-' })
  })

  test('says how long a LUN is kept ready', async () => {
    const dom0 = createDom0()
    await warm(dom0, 'migration')
    await dom0.host.clock.sleep(10_000)
    expect((await row(dom0))['OWNERS']).toMatch(/^migration \((?:49|50) s left\)$/)
    await dom0.host.clock.sleep(60_000)
    expect((await row(dom0))['OWNERS']).toBe('migration (expired)')
  })

  test('tells the problems of guests, those that are gone, and those served by other means', async () => {
    const dom0 = createDom0()
    const { lun } = await startGuest(dom0)
    const xenstore = createXenstore(dom0.host)
    await xenstore.write({ [`${backendPath}/hotplug-status`]: 'error', [`${backendPath}/hotplug-error`]: 'it broke' })
    expect((await cli(dom0.host, ['status'])).stdout).toContain(`\nproblem  LUN 0 of ${target}: guest xvda: it broke\n`)
    await xenstore.rm(`${backendPath}/hotplug-error`)
    expect((await cli(dom0.host, ['status'])).stdout).toContain(': guest xvda: hotplug-status is error\n')
    dom0.xen.addDomain({ domid: 2, name: 'other', uuid: guest.uuid.replace(/1$/, '2') })
    dom0.xen.addBackend({ domid: 2, devid: 51728, device: lun.device }).connect()
    dom0.xen.removeDomain(1)
    expect((await row(dom0))['OWNERS']).toBe('domain 1 xvda (gone), other xvdb (not by xen-lun)')
  })
})

describe('reconcile', () => {
  test('has nothing to do on a host that is well', async () => {
    const { host } = createDom0()
    expect(await cli(host, ['reconcile'])).toEqual({ exitCode: 0, stdout: 'nothing to be done\n', stderr: '' })
    expect(await json(host, ['reconcile'])).toEqual({ isApplied: false, actions: [], notices: [], failed: [] })
  })

  test('says what is to be done, changes nothing, and does it when told', async () => {
    const dom0 = createDom0()
    const { backend } = await startGuest(dom0)
    backend.remove()
    const before = dom0.state()
    const action = `release LUN 0 of ${target} for ${backendPath}: xenstore has no ${backendPath}`
    expect(await cli(dom0.host, ['reconcile'])).toEqual({
      exitCode: 1,
      stdout: `to do   ${action}\n1 to be done: xen-lun reconcile --apply does it\n`,
      stderr: '',
    })
    expect(dom0.state()).toEqual(before)
    expect(await json(dom0.host, ['reconcile'])).toMatchObject({ actions: [{ kind: 'release', owner: backendPath }] })
    expect(await cli(dom0.host, ['reconcile', '--apply', '--timeout', '60'])).toEqual({
      exitCode: 0,
      stdout: `action  ${action}\n1 of 1 actions done\n`,
      stderr: '',
    })
    expect(dom0.leftovers()).toEqual([])
  })

  test('exits with 1 when an action fails, and says which', async () => {
    const dom0 = createDom0()
    const { backend, lun } = await startGuest(dom0)
    dom0.mount(lun.device, '/mnt')
    backend.remove()
    const { exitCode, stdout } = await cli(dom0.host, ['reconcile', '--apply'])
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/^failed {2}release LUN 0 of .*mount \/mnt/m)
    expect(stdout).toMatch(/^0 of 1 actions done$/m)
  })

  test('gives up at its deadline', async () => {
    const dom0 = createDom0()
    await dom0.daemons.xenstored.stop()
    const { exitCode, stderr } = await cli(dom0.host, ['reconcile'])
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^xen-lun: XENSTORE_UNAVAILABLE: [^\n]+\nxen-lun: hint: [^\n]+\n$/)
    const late = createDom0({ timing: { loginMs: 8000 } })
    await killAt(late, /^iscsiadm .*--login/, async ({ host }) => {
      await attach(late, 0, { ...late, host })
    })
    expect((await cli(late.host, ['reconcile', '--apply', '--timeout', '1'])).stderr).toMatch(
      /^xen-lun: TIMEOUT: .*1000 ms/
    )
  })
})

describe('verify', () => {
  test('prints what every path says', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const { exitCode, stdout } = await cli(dom0.host, ['verify', target, '--lun', '0', '--wwid', wwid])
    expect(exitCode).toBe(0)
    expect(stdout.replaceAll(/ +/g, ' ')).toMatch(
      new RegExp(
        `^/dev/mapper/${wwid} is ${wwid}, 67108864 bytes\nDISK STATE WWID SERIAL\n(?:sd[ab] answers ${wwid} \\S+\n){2}$`
      )
    )
    expect(await json(dom0.host, ['verify', target])).toMatchObject({
      target,
      lun: 0,
      wwid,
      paths: [{ isLive: true }, {}],
    })
  })

  test('is an error for another volume than expected, with both in JSON', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const args = ['verify', target, '--wwid', `${wwid.slice(0, -1)}9`]
    const { exitCode, stdout, stderr } = await cli(dom0.host, args)
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^xen-lun: LUN_MISMATCH: [^\n]+\nxen-lun: hint: stop whoever uses this disk[^\n]+\n$/)
    expect(await json(dom0.host, args)).toMatchObject({
      code: 'LUN_MISMATCH',
      message: expect.any(String),
      details: { found: wwid, expected: `${wwid.slice(0, -1)}9` },
    })
  })

  test('is wrong usage for a target that is none', async () => {
    const dom0 = createDom0()
    const { exitCode, stderr } = await cli(dom0.host, ['verify', 'vm1'])
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/^xen-lun: INVALID_INPUT: target: "vm1" [^\n]+\n$/)
    expect(dom0.started).toEqual([])
  })
})

describe('a signal', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a command with exit code %d, in order', async (name, exitCode) => {
    const dom0 = createDom0()
    await startGuest(dom0)
    const stop = new AbortController()
    stop.abort(new Interrupted(name))
    for (const args of [['status'], ['doctor'], ['reconcile', '--apply'], ['verify', target]]) {
      const run = await cli(dom0.host, args, { signal: stop.signal })
      expect(run).toMatchObject({ exitCode, stdout: '' })
      expect(run.stderr).toContain(`xen-lun: INTERRUPTED: ended by ${name}`)
      const asJson = await cli(dom0.host, [...args, '--json'], { signal: stop.signal })
      expect(JSON.parse(asJson.stdout)).toMatchObject({ code: 'INTERRUPTED', details: { signal: name } })
    }
  })
})
