import { describe, expect, test } from 'vitest'
import { attachLun, createNodeDb, detachLun } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, createDom0, target } from '../helpers.ts'

const chap = { username: 'guest', password: 'guests-secret-1' }
const lost = '10.0.2.1:3260'
const RECORD = `/var/lib/iscsi/nodes/${target}/10.0.2.1,3260`

describe('a path that was missing when the attach returned comes, though since then its record', () => {
  test.each<readonly [string, (dom0: SimulatedDom0) => Promise<unknown>]>([
    ['was deleted', async ({ host }) => await host.files.remove(RECORD)],
    ['was made anew', async dom0 => dom0.plantRecord({ target, portal: lost })],
    [
      'got other credentials, and scans',
      async ({ host }) => {
        const settings = { 'node.session.auth.password': 'hosts-secret-1', 'node.session.scan': 'auto' }
        await createNodeDb(host).update({ path: RECORD }, settings)
      },
    ],
  ])('%s', async (_, change) => {
    const dom0 = createDom0()
    await dom0.san.setChap(target, chap)
    await dom0.san.cutPortal(lost)
    const lun = await attachLun({ ...address, portals: dom0.san.portals, chap }, dom0)
    expect(lun.isDegraded).toBe(true)
    await change(dom0)
    // The login that was on its way has failed by then.
    await dom0.host.clock.sleep(15_000)
    await dom0.san.restorePortal(lost)
    expect((await lun.allPaths()).map(({ state }) => state)).toEqual(['up', 'up'])
    expect(await dom0.host.files.read(RECORD)).toContain('node.session.scan = manual\n')
    expect(await dom0.host.files.read(RECORD)).toContain('guests-secret-1')
    expect(dom0.state().disks.map(({ lun: number }) => number)).toEqual([0, 0])
    await detachLun(address, dom0)
    expect(dom0.state()).toMatchObject({ sessions: [], journal: [] })
    for (const path of dom0.state().records) expect(await dom0.host.files.read(path)).not.toContain('guests-secret-1')
  })
})
