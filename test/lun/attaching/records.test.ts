import { expect, test } from 'vitest'
import { attachLun, createIscsiadm, createNodeDb, iqn, portal } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, rejection, target } from '../helpers.ts'

/** Settings of the target's records, by address. */
async function settingsOf({ host }: SimulatedDom0): Promise<Readonly<Record<string, string | undefined>>> {
  const { records } = await createNodeDb(host).recordsOf(iqn(target))
  const texts = await Promise.all(
    records.map(async record => [record.portal.host, await host.files.read(record.path)] as const)
  )
  return Object.fromEntries(texts)
}

const OURS = [
  'node.startup = manual',
  'node.conn[0].startup = manual',
  'node.session.scan = manual',
  'node.session.initial_login_retry_max = 1',
  'node.conn[0].timeo.login_timeout = 5',
]

test('records of ours do not log in at boot, do not scan, and try once, for a bounded time', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  const settings = await settingsOf(dom0)
  expect(Object.keys(settings)).toHaveLength(2)
  for (const text of Object.values(settings)) for (const line of OURS) expect(text).toContain(`${line}\n`)
})

test('a record that was there keeps its startup, does not scan, and is as before when the attach fails', async () => {
  const dom0 = createDom0()
  const iscsiadm = createIscsiadm(dom0.host)
  const endpoint = { target: iqn(target), portal: portal(dom0.san.portals[0]) }
  await iscsiadm.createRecord(endpoint)
  await iscsiadm.updateRecords(endpoint, { 'node.startup': 'automatic', 'node.session.scan': 'auto' })
  const before = await settingsOf(dom0)
  const request = { ...address, portals: dom0.san.portals, expected: { serial: 'another' } }
  expect(await rejection(attachLun(request, dom0))).toMatchObject({ code: 'LUN_MISMATCH' })
  expect(await settingsOf(dom0)).toEqual(before)

  const lun = await attach(dom0)
  const text = (await settingsOf(dom0))['10.0.1.1']
  expect(text).toContain('node.startup = automatic\n')
  expect(text).toContain('node.session.scan = manual\n')
  await lun.detach()
  expect(Object.keys(await settingsOf(dom0))).toEqual(['10.0.1.1'])
})
