import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { attachLun } from 'xen-lun'
import { parseLvmDevices } from '../../src/doctor/lvm-conf.parse.ts'
import { createDom0, levels, look, plant, target } from './helpers.ts'

const CONF = '/etc/lvm/lvm.conf'
const devices = (text: string): string => `devices {\n\t${text}\n}\n`

describe('what lvm.conf says of devices', () => {
  test('is read from any form', () => {
    const conf = `
# global_filter = [ "r|commented|" ]
config { checks = 1 }
devices {
	dir = "/dev"   # a comment with { and [
	filter = "a|.*|"
	global_filter = [ "a|^/dev/sda|",
	                  'r|#.*|' , "r/\\"quoted\\"/" ]
	cache { scan_lvs = 7 }
	scan_lvs=1
	use_devicesfile = 0
}
backup { filter = [ "r|other|" ] }
devices/use_devicesfile=1
`
    expect(parseLvmDevices(conf)).toEqual({
      filter: ['a|.*|'],
      globalFilter: ['a|^/dev/sda|', 'r|#.*|', 'r/"quoted"/'],
      scanLvs: true,
      useDevicesFile: true,
    })
  })

  test.each(['', 'devices {', 'devices { filter = [', 'devices { filter =', '}}} = [', '"'])(
    'is nothing in %j',
    text => {
      expect(Object.values(parseLvmDevices(text)).flat()).toEqual([])
    }
  )

  test('is some answer, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('devices', 'filter', '{', '}', '[', ']', '=', '"', "'", '#', '\n', ' ', 'a|x|'),
        }),
        text => {
          expect(parseLvmDevices(text)).toBeTypeOf('object')
        }
      )
    )
  })
})

describe('LVM in dom0', () => {
  test('is not installed', async () => {
    expect(await levels(createDom0().host, 'lvm-filter')).toEqual(['ok'])
  })

  test('is installed and goes by its defaults', async () => {
    const dom0 = createDom0()
    await plant(dom0, '/usr/sbin/lvm', '')
    expect(await look(dom0.host, 'lvm-filter')).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/no global_filter is set/) },
    ])
  })

  test.each([
    ['global_filter = [ "r|^/dev/mapper/|" ]', 'ok'],
    ['global_filter = [ "a|^/dev/sda|", "r|.*|" ]', 'ok'],
    ['global_filter = [ "r/^\\/dev\\/mapper\\/3600/" ]', 'ok'],
    ['global_filter = [ "r{dm-uuid-mpath-}" ]', 'ok'],
    ['global_filter = [ "a|.*|" ]', 'warning'],
    ['global_filter = [ "a|^/dev/mapper/|", "r|.*|" ]', 'warning'],
    ['global_filter = [ "a|^/dev/disk/by-id/|", "r|.*|" ]', 'warning'],
    ['global_filter = [ "r|^/dev/nbd|" ]', 'warning'],
    ['filter = [ "r|.*|" ]', 'warning'],
    ['global_filter = [ "r|(|" ]', 'unknown'],
  ])('with %s: %s', async (text, level) => {
    const dom0 = createDom0()
    await plant(dom0, CONF, devices(text))
    expect(await levels(dom0.host, 'lvm-filter')).toEqual([level])
  })

  test('goes by the maps that are there', async () => {
    const dom0 = createDom0()
    const lun = await attachLun({ target, portals: dom0.san.portals }, dom0)
    await plant(dom0, CONF, devices(`global_filter = [ "r|${lun.map?.name}|" ]`))
    expect(await levels(dom0.host, 'lvm-filter')).toEqual(['ok'])
    await plant(dom0, CONF, devices('global_filter = [ "r|/3600000|" ]'))
    expect((await look(dom0.host, 'lvm-filter'))[0]?.message).toContain(lun.device)
    await lun.detach()
  })

  test('lets lvmlocal.conf win', async () => {
    const dom0 = createDom0()
    await plant(dom0, CONF, devices('global_filter = [ "a|.*|" ]'))
    await plant(dom0, '/etc/lvm/lvmlocal.conf', devices('global_filter = [ "r|.*|" ]'))
    expect(await levels(dom0.host, 'lvm-filter')).toEqual(['ok'])
  })

  test.each([
    ['use_devicesfile = 1', 'ok'],
    ['dir = "/dev"', 'ok'],
    ['use_devicesfile = 0', 'warning'],
  ])('has a devices file and %s: %s', async (text, level) => {
    const dom0 = createDom0()
    await plant(dom0, CONF, devices(text))
    expect(await levels(dom0.host, 'lvm-filter')).toEqual(['warning'])
    await plant(dom0, '/etc/lvm/devices/system.devices', '')
    expect(await levels(dom0.host, 'lvm-filter')).toEqual([level])
  })

  test.each([
    ['scan_lvs = 1', 'warning'],
    ['scan_lvs = 0', 'ok'],
    ['dir = "/dev"', 'ok'],
  ])('and %s: %s', async (text, level) => {
    const dom0 = createDom0()
    await plant(dom0, CONF, devices(text))
    expect(await levels(dom0.host, 'lvm-scan-lvs')).toEqual([level])
  })
})
