import { describe, expect, test, vi } from 'vitest'
import { createXenstore } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { createDiskWorld, keysOf, leftovers, PORTALS, type Run, run, TARGET, target } from './disk.ts'

vi.setConfig({ testTimeout: 60_000 })

const SECRET = 'planted-horse-71c4'

/** Everything of xenstore. */
async function xenstoreOf({ host }: SimulatedDom0): Promise<string> {
  await using xenstore = createXenstore(host)
  const walk = async (path: string): Promise<readonly string[]> => {
    const children = await xenstore.list(path)
    const below = await Promise.all(children.map(async name => await walk(`${path === '/' ? '' : path}/${name}`)))
    return [`${path} = ${(await xenstore.tryRead(path)) ?? ''}`, ...below.flat()]
  }
  return (await walk('/')).join('\n')
}

/** All that others may see of a run. */
async function seen(dom0: SimulatedDom0, { log, complaints }: Run): Promise<string> {
  const journal = await Promise.all(dom0.state().journal.map(async path => await dom0.host.files.read(path)))
  return [...log, ...complaints, ...dom0.started, ...journal, await xenstoreOf(dom0)].join('\n')
}

async function addByAlias(password: string) {
  const world = createDiskWorld('vm1')
  const { dom0 } = world
  await dom0.san.setChap(target, { username: 'dom0', password: SECRET })
  const alias = { target, portals: PORTALS, chap: { username: 'dom0', password } }
  await dom0.host.files.makeDirectory('/etc/xen-lun', 0o755)
  await dom0.host.files.replace('/etc/xen-lun/vm1.json', JSON.stringify(alias), 0o600)
  return { ...world, added: await run(dom0, 'add') }
}

describe('CHAP of an alias', () => {
  test('logs in, and is in the node records only', async () => {
    const { dom0, backend, added } = await addByAlias(SECRET)
    expect(added.exitCode).toBe(0)
    expect(await seen(dom0, added)).not.toContain(SECRET)
    const records = await Promise.all(dom0.state().records.map(async path => await dom0.host.files.read(path)))
    expect(records.every(text => text?.includes(SECRET))).toBe(true)
    backend.disconnect()
    const removed = await run(dom0, 'remove')
    expect([removed.exitCode, leftovers(dom0)]).toEqual([0, []])
    expect(await seen(dom0, removed)).not.toContain(SECRET)
  })

  test('that is wrong fails by its own reason, and is shown nowhere', async () => {
    const { dom0, added } = await addByAlias(`${SECRET}-wrong`)
    expect(added.exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-error']).toContain('refused the credentials')
    expect(await seen(dom0, added)).not.toContain('planted')
    expect(leftovers(dom0)).toEqual([])
  })
})

// xend wrote `iscsi` and `w!`, libxl writes `phy` and `r` or `w`.
test.each([
  ['iscsi', 'w!'],
  ['iscsi', 'w'],
  ['iscsi', 'r'],
  ['phy', 'w'],
  ['phy', 'r'],
])('a disk of type %s and mode %s is attached', async (type, mode) => {
  const { dom0, backend } = createDiskWorld(target)
  await dom0.host.files.makeDirectory('/etc/xen/scripts', 0o755)
  await dom0.host.files.replace('/etc/xen/scripts/block-iscsi.conf', `PORTALS=(${PORTALS.join(' ')})\n`, 0o644)
  const xenstore = createXenstore(dom0.host)
  await xenstore.write({ [`${backend.path}/type`]: type, [`${backend.path}/mode`]: mode })
  expect((await run(dom0, 'add')).exitCode).toBe(0)
  expect((await keysOf(dom0))['hotplug-status']).toBe('connected')
  expect(dom0.state().maps[0]?.disks).toHaveLength(2)
})

test.each([
  ['w!', 'w!', 1],
  ['w!', 'r', 1],
  ['r', 'w!', 1],
  ['r', 'r', 0],
] as const)('with mode %s a second domain with %s ends with %d', async (first, second, exitCode) => {
  const { dom0 } = createDiskWorld()
  const xenstore = createXenstore(dom0.host)
  const runs: Run[] = []
  for (const [n, mode] of [first, second].entries()) {
    // sysfs and libxl know r and w.
    const spec = { domid: n + 1, devid: 51728, params: TARGET, mode: mode === 'r' ? 'r' : 'w' } as const
    await xenstore.write({ [`${dom0.xen.addBackend(spec).path}/mode`]: mode })
    runs.push(await run(dom0, 'add', { backend: `backend/vbd/${n + 1}/51728` }))
  }
  expect(runs.map(each => each.exitCode)).toEqual([0, exitCode])
  const status = (await keysOf(dom0, 'backend/vbd/2/51728'))['hotplug-status']
  expect(status).toBe(exitCode === 0 ? 'connected' : 'busy')
})
