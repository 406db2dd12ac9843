import { describe, expect, test } from 'vitest'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { attach, createDom0, startGuest, target } from '../lun/helpers.ts'
import { loginsOf } from '../lun/holds.ts'
import { cli, json, type Run } from './helpers.ts'

const DISK = `iqn=${target},portal=10.0.1.1,portal=10.0.2.1`
const OWNER = ['--owner', 'migration'] as const
const WAIT = ['release-expired', '--wait'] as const

/** Keeps LUN 0 ready for a minute, and answers what it started for later. */
async function warm(
  { host }: Pick<SimulatedDom0, 'host'>,
  args: readonly string[] = []
): Promise<Run & { readonly later: unknown }> {
  const later: (readonly string[])[] = []
  const startLater = async (words: readonly string[]): Promise<void> => void later.push(words)
  return { ...(await cli(host, ['prewarm', DISK, ...OWNER, '--ttl', '60', ...args], { startLater })), later }
}

describe('prewarm', () => {
  test('attaches what the disk line names, and has its end waited for', async () => {
    const dom0 = createDom0()
    const { exitCode, stdout, stderr, later } = await warm(dom0)
    expect([exitCode, stderr, later]).toEqual([0, '', [WAIT]])
    expect(stdout).toMatch(new RegExp(`^/dev/mapper/\\w+ is ready for 60 s: LUN 0 of ${target}, 2 of 2 paths\n$`))
    await startGuest(dom0)
    expect(loginsOf(dom0)).toBe(1)
  })

  test('says the same as JSON', async () => {
    const { host, san } = createDom0({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
    expect(san.portals).toHaveLength(2)
    expect(await json(host, ['prewarm', DISK, ...OWNER, '--ttl', '60'])).toEqual({
      outcome: 'attached',
      target,
      lun: 0,
      wwid: expect.any(String),
      device: expect.stringMatching(/^\/dev\/mapper\//),
      sizeBytes: 64 << 20,
      isDegraded: true,
      paths: [
        { portal: '10.0.1.1:3260', iface: 'default', state: 'up', hctl: expect.any(String), disk: expect.any(String) },
        expect.objectContaining({ portal: '10.0.2.1:3260' }),
      ],
      expiresInMs: expect.any(Number),
    })
  })

  test('takes an alias, and a bare name with the portals beside the scripts', async () => {
    for (const [name, lun, path, text] of [
      ['vm1', 1, '/etc/xen-lun/vm1.json', JSON.stringify({ target, lun: 1, portals: ['10.0.1.1'] })],
      [target, 0, '/etc/xen/scripts/block-iscsi.conf', 'PORTALS=(10.0.1.1)\n'],
    ] as const) {
      const { host } = createDom0()
      await host.files.makeDirectory(path.slice(0, path.lastIndexOf('/')), 0o700)
      await host.files.replace(path, text, 0o600)
      const said = `LUN ${lun} of ${target}`
      expect((await cli(host, ['prewarm', name, ...OWNER, '--ttl', '60'])).stdout).toContain(`${said}, 1 of 1 paths\n`)
      expect((await cli(host, ['cooldown', name, ...OWNER])).stdout).toBe(`detached: ${said}\n`)
    }
  })

  test("keeps to the host's least number of paths", async () => {
    const dom0 = createDom0({ faults: { portals: { '10.0.2.1:3260': 'cut' } } })
    await dom0.host.files.replace('/etc/xen-lun.json', '{ "minPaths": 2 }', 0o644)
    const { exitCode, stderr, later } = await warm(dom0)
    expect([exitCode, later]).toEqual([1, []])
    expect(stderr).toMatch(/^xen-lun: NO_PATHS: /)
    expect(dom0.leftovers()).toEqual([])
  })

  test('has nothing to wait for where its owner has the LUN for good', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'migration')
    const { stdout, later } = await warm(dom0)
    expect([stdout, later]).toEqual([expect.stringContaining('is ready for good, as before: '), []])
  })

  test('says so, and exits with 1, when nobody can be started to wait', async () => {
    const { host } = createDom0()
    const startLater = async (): Promise<void> => Promise.reject(new Error('spawn EAGAIN'))
    const args = ['prewarm', DISK, ...OWNER, '--ttl', '60']
    const { exitCode, stdout } = await cli(host, args, { startLater })
    expect(exitCode).toBe(1)
    expect(stdout).toContain('nobody waits for its end (spawn EAGAIN): run xen-lun release-expired --wait\n')
    const asJson = await cli(host, [...args, '--json'], { startLater })
    expect(JSON.parse(asJson.stdout)).toMatchObject({ notWaitedFor: 'spawn EAGAIN' })
  })

  test.each([
    [['prewarm', 'vm1', ...OWNER, '--ttl', '60'], /there is no \/etc\/xen-lun\/vm1\.json/],
    [['prewarm', `${DISK},password=horse`, ...OWNER, '--ttl', '60'], /"password" is refused/],
    [['prewarm', DISK, '--owner', 'backend/vbd/1/51712', '--ttl', '60'], /owner/],
    [['cooldown', DISK, '--owner', 'backend/vbd/1/51712'], /owner/],
  ])('is wrong usage, and touches nothing: %j', async (args, message) => {
    const dom0 = createDom0()
    const { exitCode, stderr } = await cli(dom0.host, args)
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(message)])
    expect(stderr).not.toContain('horse')
    expect(dom0.started).toEqual([])
  })

  test('gives up at its deadline', async () => {
    const dom0 = createDom0({ timing: { loginMs: 4000 } })
    expect((await warm(dom0, ['--timeout', '1'])).stderr).toMatch(/^xen-lun: TIMEOUT: .*1000 ms/)
    expect(dom0.leftovers()).toEqual([])
  })
})

describe('cooldown', () => {
  test('detaches, leaves what others hold, and may be repeated', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    await attach(dom0, 0, dom0, 'backup')
    expect(await json(dom0.host, ['cooldown', DISK, ...OWNER])).toMatchObject({
      outcome: 'released',
      owners: ['backup'],
    })
    expect((await cli(dom0.host, ['cooldown', DISK, ...OWNER])).stdout).toBe(
      `already-detached: LUN 0 of ${target}, held by backup\n`
    )
  })
})

describe('release-expired', () => {
  test('ends what is over, and says when the next one is', async () => {
    const dom0 = createDom0()
    expect(await cli(dom0.host, ['release-expired'])).toMatchObject({ exitCode: 0, stdout: 'nothing is kept ready\n' })
    await warm(dom0)
    expect((await cli(dom0.host, ['release-expired'])).stdout).toMatch(/^next {6}in (?:59|60) s\n$/)
    await dom0.host.clock.sleep(61_000)
    expect((await cli(dom0.host, ['release-expired'])).stdout).toMatch(
      new RegExp(`^released {2}LUN 0 of ${target} for migration: `)
    )
    expect(dom0.leftovers()).toEqual([])
  })

  test('that waits leaves nothing when the last hold is over, however long it was renewed', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const waiting = cli(dom0.host, WAIT)
    await dom0.host.clock.sleep(40_000)
    await warm(dom0)
    await dom0.host.clock.sleep(50_000)
    expect(dom0.state().maps).toHaveLength(1)
    expect((await waiting).exitCode).toBe(0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('waits for a hold that is made while it waits and ends sooner', async () => {
    const dom0 = createDom0()
    await cli(dom0.host, ['prewarm', DISK, ...OWNER, '--ttl', '3600'])
    const waiting = cli(dom0.host, WAIT)
    await dom0.host.clock.sleep(1000)
    await cli(dom0.host, ['prewarm', `${DISK},lun=1`, ...OWNER, '--ttl', '20'])
    await dom0.host.clock.sleep(35_000)
    expect(dom0.state().maps).toHaveLength(1)
    expect((await waiting).exitCode).toBe(0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('leaves the waiting to the one that waits already', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const first = cli(dom0.startUser().host, WAIT)
    await dom0.host.clock.sleep(1000)
    const startedMs = dom0.host.clock.now()
    expect((await cli(dom0.startUser().host, WAIT)).stdout).toMatch(/^next {6}in \d\d s\n$/)
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(15_000)
    expect((await first).stdout).toMatch(/^released/)
  })

  test('goes on while what is over is in use', async () => {
    const dom0 = createDom0()
    const { stdout } = await warm(dom0)
    const { close } = dom0.openDevice(stdout.split(' ')[0] ?? '')
    const waiting = cli(dom0.host, WAIT)
    await dom0.host.clock.sleep(90_000)
    expect((await cli(dom0.startUser().host, ['release-expired'])).exitCode).toBe(1)
    close()
    expect((await waiting).exitCode).toBe(0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('that is ended by a signal ends', async () => {
    const dom0 = createDom0()
    await warm(dom0)
    const stop = new AbortController()
    const waiting = cli(dom0.host, WAIT, { signal: stop.signal })
    await dom0.host.clock.sleep(5000)
    stop.abort(new Error('ended'))
    expect(await waiting).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ended') })
  })
})
