import { describe, expect, test } from 'vitest'
import { listAttachments } from 'xen-lun'
import { Interrupted } from '../../src/cli/io.ts'
import { attach, backendPath, createDom0, killAt, startGuest, target } from '../lun/helpers.ts'
import { cli, json } from './helpers.ts'

const wwid = '360014058a0906aaaaaa0001000000000'

describe('status', () => {
  test('says that nothing is attached', async () => {
    const { host } = createDom0()
    expect(await cli(host, ['status'])).toEqual({ exitCode: 0, stdout: 'nothing is attached\n', stderr: '' })
    expect(await json(host, ['status'])).toEqual({ attachments: [], unknown: {} })
  })

  test('lists what is attached, its paths, guests and owners', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'backup')
    await startGuest(dom0)
    await attach(dom0, 1)
    await dom0.san.cutPortal('10.0.2.1:3260')
    await dom0.host.clock.sleep(30_000)
    expect(await cli(dom0.host, ['status'])).toEqual({
      exitCode: 0,
      stdout: `TARGET                       LUN  DEVICE                                         PATHS  GUESTS      OWNERS
${target}  0    /dev/mapper/${wwid}  1/2    guest:xvda  backup, ${backendPath}
${target}  1    /dev/mapper/360014058a0906aaaaaa0002000000000  1/2    -           default
`,
      stderr: '',
    })
    expect(await json(dom0.host, ['status'])).toEqual(JSON.parse(JSON.stringify(await listAttachments(dom0))))
  })

  test('says what nobody could tell', async () => {
    const dom0 = createDom0()
    await startGuest(dom0)
    await dom0.daemons.multipathd.stop()
    await dom0.daemons.xenstored.stop()
    const { exitCode, stdout } = await cli(dom0.host, ['status'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/ +0\/2, 2 unknown +domain 1:xvda +backend\/vbd\/1\/51712$/m)
    expect(stdout).toMatch(/^guests are unknown: .*\nmultipathd's side of the paths is unknown: .*\n$/m)
  })

  test('names an owner that is not done', async () => {
    const dom0 = createDom0()
    await killAt(dom0, /^iscsiadm .*--login/, async ({ host }) => {
      await attach(dom0, 1, { ...dom0, host })
    })
    expect((await cli(dom0.host, ['status'])).stdout).toMatch(/^\S+ +1 +- +\S+ +- +default \(attaching\)$/m)
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
