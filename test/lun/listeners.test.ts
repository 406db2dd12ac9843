import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attachLun, detachLun } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const COUNT = 14
let warnings: Error[] = []
const hear = (warning: Error): void => void warnings.push(warning)

beforeEach(() => {
  warnings = []
  process.on('warning', hear)
})
afterEach(() => void process.off('warning', hear))

async function warned(): Promise<readonly Error[]> {
  await new Promise(resolve => setImmediate(resolve))
  return warnings
}

test('many operations with one signal are no leak to Node, and leave no listener', async () => {
  const luns = Array.from({ length: COUNT }, (_, lun) => lun)
  const dom0 = createSimulatedDom0({
    volumes: luns.map(lun => ({ name: `v${lun}`, sizeMiB: 64 })),
    targets: [{ iqn: target, luns: Object.fromEntries(luns.map(lun => [lun, `v${lun}`])) }],
  })
  const { signal } = new AbortController()
  const options = { host: dom0.host, signal }
  await Promise.all(luns.map(async lun => await attachLun({ target, lun, portals: dom0.san.portals }, options)))
  await Promise.all(luns.map(async lun => await detachLun({ target, lun }, options)))
  expect(await warned()).toEqual([])
  expect(getEventListeners(signal, 'abort')).toEqual([])
  expect(dom0.leftovers()).toEqual([])
})

test('nor are many portals', async () => {
  const portals = Array.from({ length: COUNT }, (_, n) => `10.0.${n + 1}.1:3260`)
  const [first = '', second = '', ...others] = portals
  const dom0 = createSimulatedDom0({
    portals: [first, second, ...others],
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  const lun = await attachLun({ target, portals }, { host: dom0.host })
  expect(lun.paths).toHaveLength(COUNT)
  await lun.detach()
  expect(await warned()).toEqual([])
})
