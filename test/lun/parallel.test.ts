import { expect, test } from 'vitest'
import { attachLun, detachLun } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { until } from '../../src/flow/until.ts'

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

test('where all sessions are there, an attach waits for no other of its process', async () => {
  const dom0 = createDom0()
  const { portals } = dom0.san
  await attachLun({ target, portals }, dom0)
  const { host } = dom0.startUser()
  let isScanning = false
  let isSecondThere = false
  const write = async (path: string, text: string): Promise<boolean> => {
    if (path.endsWith('/scan') && text.trim().endsWith(' 1')) {
      isScanning = true
      const awaited = 'the second LUN'
      await until(host.clock, async () => isSecondThere, { awaited, timeoutMs: 20_000 })
    }
    return await host.files.write(path, text)
  }
  const slow = { ...host, files: { ...host.files, write } }
  const first = attachLun({ target, lun: 1, portals }, { host: slow })
  await until(host.clock, async () => isScanning, { awaited: 'the scan for the first LUN', timeoutMs: 20_000 })
  await attachLun({ target, lun: 2, portals }, { host })
  isSecondThere = true
  expect((await first).lun).toBe(1)
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
  expect(removed).toContain(`/run/xen-lun/locks/luns/${target},0`)
})
