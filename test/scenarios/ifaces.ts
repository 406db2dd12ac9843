import assert from 'node:assert/strict'
import { createIscsiadm } from 'xen-lun'
import { assertAttached, assertSameData, attach, presentLuns } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

const nics = ['p1', 'p1b']

async function twoIfaces(world: World): Promise<void> {
  await presentLuns(world, 0)
  const [first] = world.san.portals
  const iscsiadm = createIscsiadm(world.host)
  const ifaces = nics.map(nic => `lab.${nic}`)
  for (const nic of nics) {
    await iscsiadm.createIface(`lab.${nic}`)
    await iscsiadm.updateIface(`lab.${nic}`, { 'iface.net_ifacename': nic })
  }
  const lun = await attach(world, { portals: [first], ifaces })
  assert.deepEqual(
    lun.paths.map(path => `${path.portal} ${path.iface} ${path.state}`),
    ['10.0.1.1:3260 lab.p1 up', '10.0.1.1:3260 lab.p1b up']
  )
  await assertAttached(world, lun, 2)
  await assertSameData(world, lun, 'v0')
  await lun.detach()
  for (const iface of ifaces) await iscsiadm.deleteIface(iface)
  await world.expectClean()
}

export const ifaceScenarios: readonly Scenario[] = [
  { name: 'two-ifaces', about: 'One portal through two interfaces is two paths', run: twoIfaces },
]
