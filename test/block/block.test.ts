import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findMapByWwid, findMapOn, multipathWwid, readBlockDevice } from '../../src/block/block-device.ts'
import { parseSerialPage, toWwid } from '../../src/block/identity.parse.ts'
import { createScsi } from '../../src/block/scsi.ts'
import { parseUdevRecord } from '../../src/block/udev.parse.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryFiles, type MemoryFiles, type MemoryTree } from '../support/memory-files.ts'

const WWID = '360014058a0906aaaaaa0001000000000'

function block(name: string, dev: string, more: Record<string, string> = {}): Record<string, string> {
  const files = { dev: `${dev}\n`, size: '131072\n', ro: '0\n', ...more }
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [`/sys/block/${name}/${file}`, text]))
}

const MAP = { 'dm/name': `${WWID}\n`, 'dm/uuid': `mpath-${WWID}\n`, 'slaves/sda/x': '', 'slaves/sdb/x': '' }

function host(tree: MemoryTree = {}): { files: MemoryFiles; clock: ReturnType<typeof createFakeClock> } {
  return { files: createMemoryFiles(tree), clock: createFakeClock() }
}

const twoPaths: MemoryTree = {
  files: {
    ...block('sda', '8:0', { 'holders/dm-0/x': '' }),
    ...block('sdb', '8:16', { 'holders/dm-1/x': '', 'holders/dm-0/x': '' }),
    ...block('dm-0', '253:0', MAP),
    ...block('dm-1', '253:1', { 'dm/name': 'vg-root\n', 'dm/uuid': 'LVM-abc\n' }),
  },
}

describe('a block device', () => {
  test('is read whole: number, size in bytes, holders, slaves, dm name', async () => {
    const { files } = host(twoPaths)
    expect(await readBlockDevice(files, 'dm-0')).toEqual({
      name: 'dm-0',
      major: 253,
      minor: 0,
      sizeBytes: 64 << 20,
      isReadOnly: false,
      holders: [],
      slaves: ['sda', 'sdb'],
      dm: { name: WWID, uuid: `mpath-${WWID}` },
    })
  })

  test('that is not there, or half gone, is no device', async () => {
    const { files } = host({ files: { '/sys/block/sdc/dev': '8:32\n' } })
    expect(await readBlockDevice(files, 'sdc')).toBeUndefined()
    expect(await readBlockDevice(files, 'sdd')).toBeUndefined()
  })

  test('has a map only where a holder is multipath, not LVM', async () => {
    const { files } = host(twoPaths)
    expect((await findMapOn(files, 'sdb'))?.name).toBe('dm-0')
    expect(multipathWwid(await readBlockDevice(files, 'dm-1'))).toBeUndefined()
    expect((await findMapByWwid(files, WWID))?.name).toBe('dm-0')
    expect(await findMapByWwid(files, WWID.slice(0, -1))).toBeUndefined()
  })
})

describe('a LUN says who it is', () => {
  test.each([
    ['naa.60014058a0906aaaaaa0001000000000', WWID],
    ['eui.0025388b71b5e1c4', '20025388b71b5e1c4'],
    ['t10.ATA     QEMU HARDDISK   QM00001', '1ATA_QEMU_HARDDISK_QM00001'],
    ['iqn-like-name', '8iqn-like-name'],
  ])('%s is %s', (text, wwid) => expect(toWwid(text)).toBe(wwid))

  test.each([[undefined], [''], ['naa.'], ['t10.a/b']])('%j is no WWID', text => {
    expect(toWwid(text)).toBeUndefined()
  })

  test('the serial number has the length its page states', () => {
    const page = Uint8Array.from([0, 0x80, 0, 4, ...Buffer.from('ab1 trailing')])
    expect(parseSerialPage(page)).toBe('ab1')
    expect(parseSerialPage(Uint8Array.from([0, 0x83, 0, 1, 65]))).toBeUndefined()
    expect(parseSerialPage(undefined)).toBeUndefined()
  })

  test('any bytes are read without an exception', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, page) => {
        expect(toWwid(text) ?? 'none').not.toMatch(/\s/)
        expect(parseSerialPage(page)).not.toBe('')
        expect(parseUdevRecord(text).links.length).toBeLessThanOrEqual(text.length)
      })
    )
  })
})

describe('SCSI devices', () => {
  const target = { host: 3, channel: 0, targetId: 0 }
  const folder = '/sys/class/scsi_device/3:0:0:300/device'
  const tree: MemoryTree = {
    files: {
      [`${folder}/wwid`]: 'naa.60014058a0906aaaaaa0001000000000\n',
      [`${folder}/state`]: 'running\n',
      [`${folder}/rescan`]: '',
      [`${folder}/delete`]: '',
      [`${folder}/block/sdb/x`]: '',
      '/sys/class/scsi_device/3:0:0:30/device/state': 'running\n',
      '/sys/class/scsi_device/33:0:0:300/device/state': 'running\n',
      '/sys/class/scsi_host/host3/scan': '',
    },
  }
  const hctl = { host: 3, channel: 0, target: 0, lun: 300 }

  test('of one target only are listed, LUN 30 apart from LUN 300', async () => {
    const devices = await createScsi(host(tree)).devices(target)
    expect(devices.map(({ lun }) => lun)).toEqual([30, 300])
  })

  test('are scanned for one LUN only', async () => {
    const machine = host(tree)
    await createScsi(machine).scan(target, 300)
    expect(machine.files.contents.get('/sys/class/scsi_host/host3/scan')).toBe('0 0 300')
  })

  test('are asked again before a live identity is read', async () => {
    const machine = host(tree)
    const scsi = createScsi(machine)
    expect(await scsi.identity(hctl, { live: false })).toMatchObject({ wwid: WWID })
    expect(machine.files.contents.get(`${folder}/rescan`)).toBe('')
    await scsi.identity(hctl, { live: true })
    expect(machine.files.contents.get(`${folder}/rescan`)).toBe('1')
    expect([await scsi.disk(hctl), await scsi.state(hctl)]).toEqual(['sdb', 'running'])
  })

  test('are waited for until they are gone', async () => {
    const machine = host(tree)
    const removal = createScsi(machine).remove(hctl, { timeoutMs: 100 })
    await expect(removal).rejects.toMatchObject({ code: 'TIMEOUT', details: { timeoutMs: 100 } })
    for (const path of machine.files.contents.keys()) {
      if (path.startsWith(folder)) machine.files.contents.delete(path)
    }
    expect(await createScsi(machine).remove(hctl, { timeoutMs: 100 })).toBe('absent')
  })
})

test("udev's record is ready once it holds the time of initialisation", () => {
  const text = 'S:disk/by-id/scsi-3600\nI:42588574\nE:ID_SERIAL=3600=1\nG:systemd\n'
  const record = parseUdevRecord(text)
  expect(record.isInitialized).toBe(true)
  expect(record.links).toEqual(['disk/by-id/scsi-3600'])
  expect(record.properties.get('ID_SERIAL')).toBe('3600=1')
  expect(parseUdevRecord('E:ID_SERIAL=3600\n').isInitialized).toBe(false)
})
