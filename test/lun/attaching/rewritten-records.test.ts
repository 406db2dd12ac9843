import { expect, test } from 'vitest'
import { attachLun, createNodeDb, detachLun } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, createDom0, target } from '../helpers.ts'

const LOCK = '/run/lock/iscsi/lock'
const WRITING_MS = 300

/** An iscsiadm of somebody else's that has emptied a record and holds open-iscsi's lock until it has written it. */
async function rewriteSlowly(dom0: SimulatedDom0, path: string, work: () => Promise<unknown>): Promise<string> {
  const text = (await dom0.host.files.read(path)) ?? ''
  dom0.plant(LOCK, { kind: 'file', mode: 0o600 })
  dom0.plant(`${LOCK}.write`, { kind: 'file', mode: 0o600 })
  dom0.plant(path, { kind: 'file', text: '', mode: 0o600 })
  const done = work()
  await dom0.host.clock.sleep(WRITING_MS)
  dom0.plant(path, { kind: 'file', text, mode: 0o600 })
  await dom0.host.files.remove(`${LOCK}.write`)
  await done
  return text
}

test('a node record that somebody is just rewriting is not made anew, and stays', async () => {
  const dom0 = createDom0()
  const [portal] = dom0.san.portals
  const path = dom0.plantRecord({ target, portal })
  const auth = { 'node.session.auth.username': 'host', 'node.session.auth.password': 'hosts-secret-1' }
  await createNodeDb(dom0.host).update({ path }, { 'node.startup': 'automatic', ...auth })
  const text = await rewriteSlowly(
    dom0,
    path,
    async () => await attachLun({ ...address, portals: dom0.san.portals.slice(0, 1) }, dom0)
  )
  expect(await dom0.host.files.read(path)).toContain('node.session.auth.password = hosts-secret-1\n')
  await detachLun(address, dom0)
  expect(await dom0.host.files.read(path)).toBe(text)
})

test('a discovery record that somebody is just rewriting is not made anew, and stays', async () => {
  const dom0 = createDom0()
  const chap = { username: 'guest', password: 'guests-secret-1' }
  await dom0.san.setChap(target, chap)
  const path = '/var/lib/iscsi/send_targets/10.0.1.1,3260/st_config'
  const lines = ['# BEGIN RECORD 2.1.11', 'discovery.startup = manual', 'discovery.type = sendtargets']
  const place = ['discovery.sendtargets.address = 10.0.1.1', 'discovery.sendtargets.port = 3260']
  const auth = ['discovery.sendtargets.auth.username = host', 'discovery.sendtargets.auth.password = hosts-secret-1']
  const record = [...lines, ...place, ...auth, '# END RECORD', ''].join('\n')
  dom0.plant(path, { kind: 'file', text: record, mode: 0o600 })
  await rewriteSlowly(dom0, path, async () => await attachLun({ ...address, discovery: '10.0.1.1:3260', chap }, dom0))
  expect(await dom0.host.files.read(path)).toBe(record)
})
