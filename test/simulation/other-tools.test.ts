import { expect, test } from 'vitest'
import { attachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const portal = '10.0.1.1:3260'
const NODES = `/var/lib/iscsi/nodes/${target}`

const create = (): SimulatedDom0 =>
  createSimulatedDom0({ volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' } }] })

const iscsiadm = async ({ host }: SimulatedDom0, ...args: readonly string[]) =>
  await host.executor.exec({ file: 'iscsiadm', args, decode: () => '' })

test('two records of one portal, and one that nobody can read', async () => {
  const dom0 = create()
  expect(dom0.plantRecord({ target, portal, tpgt: 1 })).toBe(`${NODES}/10.0.1.1,3260,1/default`)
  expect(dom0.plantRecord({ target, portal, tpgt: 2 })).toBe(`${NODES}/10.0.1.1,3260,2/default`)
  const damaged = dom0.plantRecord({ target, portal: '10.0.2.1:3260', text: 'node.na' })
  expect(damaged).toBe(`${NODES}/10.0.2.1,3260`)
  expect(await dom0.host.files.read(damaged)).toBe('node.na')
  expect((await iscsiadm(dom0, '-m', 'node')).stdout).toContain(`${portal},1 ${target}\n${portal},2 ${target}\n`)
  expect(dom0.state().records).toHaveLength(3)
})

test('a session of somebody else, with its disks, until he ends it', async () => {
  const dom0 = create()
  const session = dom0.addSession({ target, portal })
  await dom0.host.clock.sleep(1000)
  const { sessions, disks } = dom0.state()
  expect(sessions).toEqual([{ id: session.id, iqn: target, portal, iface: 'default', state: 'LOGGED_IN' }])
  expect(disks.map(({ sessionId }) => sessionId)).toEqual([session.id])
  await session.logOut()
  await dom0.host.clock.sleep(1000)
  expect(dom0.leftovers().filter(line => !line.startsWith('wwids'))).toEqual([])

  const lost = dom0.addSession({ target, portal, state: 'FAILED', isScanned: false })
  expect(await dom0.host.files.read(`/sys/class/iscsi_session/session${lost.id}/state`)).toBe('FAILED\n')
  expect(dom0.state().disks).toEqual([])
})

test.each(['-1', '4294967295'] as const)('a session without its target reads %s, and finds nothing', async targetId => {
  const dom0 = create()
  const session = dom0.addSession({ target, portal })
  await dom0.host.clock.sleep(1000)
  const read = async (): Promise<string | undefined> =>
    await dom0.host.files.read(`/sys/class/iscsi_session/session${session.id}/target_id`)
  expect(await read()).toBe('0\n')
  session.unbind(targetId)
  expect(await read()).toBe(`${targetId}\n`)
  await dom0.host.files.write('/sys/class/scsi_host/host0/scan', '- - -')
  await dom0.host.clock.sleep(1000)
  expect(dom0.state()).toMatchObject({ sessions: [{ state: 'LOGGED_IN' }], disks: [] })
  await session.logOut()
  expect(dom0.state().sessions).toEqual([])
})

test('a logout in the middle of which iscsid dies leaves such a session', async () => {
  const dom0 = create()
  await attachLun({ target, portals: [portal] }, dom0)
  dom0.interruptLogouts()
  const logOut = async () => await iscsiadm(dom0, '-m', 'node', '-T', target, '--logout')
  const { exitCode, stderr } = await logOut()
  expect([exitCode, stderr.includes('could not communicate to iscsid')]).toEqual([18, true])
  expect(dom0.state()).toMatchObject({ sessions: [{ state: 'LOGGED_IN' }], disks: [] })
  expect((await logOut()).exitCode).toBe(0)
  expect(dom0.state().sessions).toEqual([])
})

test('a stub domain names whom it serves', async () => {
  const dom0 = create()
  dom0.xen.addDomain({ domid: 1, name: 'guest', uuid: 'u1' })
  dom0.xen.addDomain({ domid: 2, name: 'guest-dm', uuid: 'u2', target: 1 })
  const read = async (domid: number): Promise<string> =>
    (
      await dom0.host.executor.exec({
        file: 'xenstore-read',
        args: [`/local/domain/${domid}/target`],
        decode: () => '',
      })
    ).stdout
  expect([await read(1), await read(2)]).toEqual(['', '1\n'])
})

test('drafts of who was killed are left over', () => {
  const dom0 = create()
  const draft = `/var/lib/iscsi/.10.0.1.1,3260.draft`
  const discovery = '/var/lib/iscsi/send_targets/10.0.1.1,3260/.st_config.draft'
  dom0.plant(draft, { kind: 'file' })
  dom0.plant(discovery, { kind: 'file' })
  expect(dom0.leftovers()).toEqual([`drafts: ${draft}`, `drafts: ${discovery}`])
})

test.each([Number.POSITIVE_INFINITY, Number.NaN, 2 ** 31])('a timer cannot count to %d, and takes 1 ms', async ms => {
  const { clock } = create().host
  const before = clock.now()
  await clock.sleep(ms)
  expect(clock.now() - before).toBe(1)
})

test('records that a discovery finds say so, and links lead to them from its own until they go', async () => {
  const dom0 = create()
  const { files } = dom0.host
  const path = `${NODES}/10.0.1.1,3260,1/default`
  const link = `/var/lib/iscsi/send_targets/10.0.1.1,3260/${target},10.0.1.1,3260,1,default`
  await iscsiadm(dom0, '-m', 'discovery', '-t', 'st', '-p', portal)
  expect(await files.read(path)).toContain('node.discovery_type = send_targets\n')
  expect(await files.read(path)).toContain('node.discovery_address = 10.0.1.1\n')
  expect(await files.realpath(link)).toBe(path.replace('/default', ''))
  const byName = dom0.plantRecord({ target, portal: '10.0.2.1:3260' })
  expect(await files.read(byName)).toContain('node.discovery_type = static\n')
  await iscsiadm(dom0, '-m', 'node', '-T', target, '-p', portal, '-o', 'delete')
  expect([await files.stat(path), await files.linkStat(link)]).toEqual([undefined, undefined])
})

test('a record that iscsiadm changes is the same file, written again', async () => {
  const dom0 = create()
  const path = dom0.plantRecord({ target, portal })
  const before = await dom0.host.files.stat(path)
  await dom0.host.clock.sleep(1000)
  await iscsiadm(dom0, '-m', 'node', '-T', target, '-o', 'update', '-n', 'node.startup', '-v', 'automatic')
  const after = await dom0.host.files.stat(path)
  expect([after?.inode, (after?.mtimeMs ?? 0) > (before?.mtimeMs ?? 0)]).toEqual([before?.inode, true])
})
