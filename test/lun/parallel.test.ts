import { expect, test } from 'vitest'
import { attachLun, detachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:group'
const LUNS = [0, 1, 2, 3, 4, 5, 6, 7]

/** A target with eight LUNs, on a host where everything that waits takes its time. */
function createDom0(): SimulatedDom0 {
  return createSimulatedDom0({
    volumes: LUNS.map(lun => ({ name: `v${lun}`, sizeMiB: 64 })),
    targets: [{ iqn: target, luns: Object.fromEntries(LUNS.map(lun => [lun, `v${lun}`])) }],
    timing: { loginMs: 1500, logoutMs: 500 },
  })
}

async function attachAll(dom0: SimulatedDom0, luns: readonly number[]): Promise<number> {
  const startedMs = dom0.host.clock.now()
  await Promise.all(
    luns.map(async lun => await attachLun({ target, lun, portals: dom0.san.portals }, dom0.startUser()))
  )
  return dom0.host.clock.now() - startedMs
}

test('LUNs of one target attach side by side, with one login, and detach so', async () => {
  const dom0 = createDom0()
  const aloneMs = await attachAll(dom0, [0])
  await detachLun({ target }, dom0)
  const loginsBefore = dom0.started.filter(line => line.endsWith('--login')).length
  const togetherMs = await attachAll(dom0, LUNS)
  expect(togetherMs).toBeLessThan(2 * aloneMs)
  expect(dom0.started.filter(line => line.endsWith('--login'))).toHaveLength(loginsBefore + 1)
  const startedMs = dom0.host.clock.now()
  await Promise.all(LUNS.map(async lun => await detachLun({ target, lun }, dom0.startUser())))
  expect(dom0.host.clock.now() - startedMs).toBeLessThan(3000)
  expect(dom0.leftovers()).toEqual([])
  console.log(`one LUN ${Math.round(aloneMs)} ms, eight together ${Math.round(togetherMs)} ms`)
})

test('an attach whose paths are all up has let go of the LUN when it returns: its process may end at once', async () => {
  const { host, san } = createDom0()
  const removed: string[] = []
  const files = {
    ...host.files,
    remove: async (path: string): Promise<boolean> => {
      const isRemoved = await host.files.remove(path)
      removed.push(path)
      return isRemoved
    },
  }
  await attachLun({ target, portals: san.portals }, { host: { ...host, files } })
  expect(removed).toContain(`/run/lock/xen-lun/luns/${target},0`)
})
