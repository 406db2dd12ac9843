import { expect, test } from 'vitest'
import { attachLun, type LunEvent } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:cut'

test.each(['login', 'paths'])('a portal that is cut during %s costs its path, not the attach', async step => {
  for (const afterMs of [0, 30, 60, 90, 120, 200, 300]) {
    const dom0 = createSimulatedDom0({
      volumes: [{ name: 'v0', sizeMiB: 64 }],
      targets: [{ iqn: target, luns: { 0: 'v0' } }],
    })
    const { host, san } = dom0
    const onEvent = (event: LunEvent): void => {
      if (event.type !== 'start' || event.step !== step) return
      void host.clock.sleep(afterMs).then(async () => await san.cutPortal(san.portals[1]))
    }
    const lun = await attachLun({ target, portals: san.portals }, { host, onEvent, timeoutMs: 10_000 })
    expect(lun.paths[0]?.state).toBe('up')
    await lun.detach()
    await san.restorePortal(san.portals[1])
    expect(dom0.leftovers()).toEqual([])
  }
})
