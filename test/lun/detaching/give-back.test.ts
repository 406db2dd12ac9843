import { describe, expect, test } from 'vitest'
import { attachLun, createIscsiadm, createNodeDb, detachLun } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, createDom0, target } from '../helpers.ts'

const PATH = `/var/lib/iscsi/nodes/${target}/10.0.1.1,3260`
const NOTES = `/var/lib/xen-lun/records/${target}.json`
const chap = { username: 'guest', password: 'guests-secret-1' }
const other = { username: 'guest', password: 'guests-secret-2' }

/** Attaches a LUN by one portal. */
async function attachWith(dom0: SimulatedDom0, lun: number, credentials: typeof chap): Promise<void> {
  await dom0.san.setChap(target, credentials)
  await attachLun({ ...address, lun, portals: dom0.san.portals.slice(0, 1), chap: credentials }, dom0)
}

describe('a record of ours that somebody has changed stays, without credentials of ours:', () => {
  test.each([
    ['node.startup', 'automatic'],
    ['node.session.scan', 'auto'],
    ['node.session.auth.username', 'host'],
    ['node.conn[0].timeo.login_timeout', '30'],
  ])('%s %s', async (setting, value) => {
    const dom0 = createDom0()
    await attachWith(dom0, 0, chap)
    expect(await dom0.host.files.read(NOTES)).not.toContain(chap.password)
    await createNodeDb(dom0.host).update({ path: PATH }, { [setting]: value })
    await detachLun(address, dom0)
    const text = await dom0.host.files.read(PATH)
    expect(text).toContain(`${setting} = ${value}\n`)
    expect(text).not.toContain('guest')
    expect(dom0.state()).toMatchObject({ records: [PATH], journal: [] })
  })

  test.each([
    ['other', other],
    ['the same', chap],
  ])('also after another attach with %s credentials', async (_, next) => {
    const dom0 = createDom0()
    await attachWith(dom0, 0, chap)
    await createNodeDb(dom0.host).update({ path: PATH }, { 'node.conn[0].timeo.login_timeout': '30' })
    for (const { id } of dom0.state().sessions) await createIscsiadm(dom0.host).logoutSession(id)
    await attachWith(dom0, 1, next)
    for (const lun of [0, 1]) await detachLun({ target, lun }, dom0)
    const text = await dom0.host.files.read(PATH)
    expect(text).toContain('node.conn[0].timeo.login_timeout = 30\n')
    expect(text).not.toContain('guest')
    expect(dom0.state()).toMatchObject({ records: [PATH], journal: [] })
  })

  test('and with those that he gave it', async () => {
    const dom0 = createDom0()
    await attachWith(dom0, 0, chap)
    const secret = 'node.session.auth.password'
    await createNodeDb(dom0.host).update({ path: PATH }, { 'node.startup': 'automatic', [secret]: 'hosts-secret-1' })
    await detachLun(address, dom0)
    const text = await dom0.host.files.read(PATH)
    for (const line of [`${secret} = hosts-secret-1\n`, 'node.session.auth.username = guest\n']) {
      expect(text).toContain(line)
    }
  })
})
