import { expect, test } from 'vitest'
import { attachLun, type LunEvent } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:late-node'

test('a map that udev has not named after 2 s is used by the name the kernel gives it', async () => {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
  })
  const { files } = dom0.host
  const isUnnamed = (path: string): boolean => path.startsWith('/dev/mapper/')
  const host = {
    ...dom0.host,
    files: { ...files, stat: async (path: string) => (isUnnamed(path) ? undefined : await files.stat(path)) },
  }
  const events: LunEvent[] = []
  const onEvent = (event: LunEvent): void => void events.push(event)
  const lun = await attachLun({ target, portals: dom0.san.portals }, { host, onEvent })
  const { map } = lun
  expect(lun.device).toBe(`/dev/${map?.dm}`)
  expect(events.flatMap(event => (event.type === 'warning' ? [event.message] : []))).toEqual([
    `udev has not made /dev/mapper/${map?.name} yet, so /dev/${map?.dm} is used`,
  ])
  const device = events.filter(event => (event.type === 'start' || event.type === 'end') && event.step === 'device')
  const [began = 0, ended = 0] = device.map(({ elapsedMs }) => elapsedMs)
  expect(ended - began).toBeGreaterThanOrEqual(2000)
  expect(ended - began).toBeLessThan(2200)
  await lun.detach()
  expect(dom0.leftovers()).toEqual([])
})
