import { describe, expect, test } from 'vitest'
import { LunError } from 'xen-lun'
import { isOlder, readXenVersion } from '../../src/doctor/xen-version.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { answering, createDom0, levels, look, plant } from './helpers.ts'

const CAPABILITIES = '/proc/xen/capabilities'

describe('dom0', () => {
  const inDom0 = ['xen-dom0', 'xen-blkback', 'xenstored', 'hotplug-timeout', 'block-sharing'] as const

  test('is what everything about Xen is looked at in', async () => {
    const dom0 = createDom0()
    for (const check of inDom0) expect(await levels(dom0.host, check)).toEqual(['ok'])
    await plant(dom0, CAPABILITIES, '')
    for (const check of inDom0) expect(await levels(dom0.host, check)).toEqual(['unknown'])
    expect(dom0.started.filter(line => line.startsWith('xenstore'))).toHaveLength(inDom0.length)
  })

  test.each([
    ['xen', '00000000-0000-0000-0000-000000000000', 'ok'],
    ['xen', '3a5d1c9e-0000-4000-8000-000000000001', 'unknown'],
    ['kvm', '00000000-0000-0000-0000-000000000000', 'unknown'],
  ])('is told without xenfs by type %s and UUID %s: %s', async (type, uuid, level) => {
    const dom0 = createDom0()
    await dom0.host.files.remove(CAPABILITIES)
    await plant(dom0, '/sys/hypervisor/type', `${type}\n`)
    await plant(dom0, '/sys/hypervisor/uuid', `${uuid}\n`)
    expect(await levels(dom0.host, 'xen-dom0')).toEqual([level])
  })
})

test('xen-blkback is loaded, built in, or neither', async () => {
  const dom0 = createDom0()
  const { files } = dom0.host
  expect(await levels(dom0.host, 'xen-blkback')).toEqual(['ok'])
  const folder = '/sys/module/xen_blkback'
  await files.remove(`${folder}/parameters/max_buffer_pages`)
  await files.removeDirectory(`${folder}/parameters`)
  await files.removeDirectory(folder)
  expect(await levels(dom0.host, 'xen-blkback')).toEqual(['error'])
  await files.makeDirectory('/sys/bus/xen-backend/drivers/vbd', 0o755)
  expect(await levels(dom0.host, 'xen-blkback')).toEqual(['ok'])
})

test('xenstored does not answer, or its tools are missing', async () => {
  const { host } = createDom0()
  const exists = 'xenstore-exists -- /local/domain'
  const missing = new LunError('COMMAND_NOT_FOUND', 'xenstore-exists is not installed', { file: 'xenstore-exists' })
  expect(await look(answering(host, { [exists]: missing }), 'xenstored')).toMatchObject([
    { level: 'error', message: 'xenstored does not answer: xenstore-exists is not installed.' },
  ])
  const strange = answering(host, { [exists]: new Error('no idea') })
  expect(await levels(strange, 'xenstored')).toEqual(['unknown'])
})

describe('the version of Xen', () => {
  // The first number of each row is that of a version that gives scripts too little time, then one with a sharing check.
  test.each([
    ['4.5', '.5', 'warning', 'ok'],
    ['3.4', '.4', 'warning', 'ok'],
    ['4.6', '.0', 'ok', 'ok'],
    ['4.6', '.6', 'ok', 'ok'],
    ['4.7', '.0', 'ok', 'warning'],
    ['4.14', '.6', 'ok', 'warning'],
    ['4.16', '.7', 'ok', 'warning'],
    ['4.16', '.8', 'ok', 'ok'],
    ['4.17', '.0', 'ok', 'warning'],
    ['4.17', '.4', 'ok', 'warning'],
    ['4.17', '.5', 'ok', 'ok'],
    ['4.18', '.0', 'ok', 'warning'],
    ['4.18', '.0-rc3', 'ok', 'warning'],
    ['4.18', '-unstable', 'ok', 'warning'],
    ['4.18', '.1', 'ok', 'ok'],
    ['4.20', '.0', 'ok', 'ok'],
  ])('%s%s: hotplug-timeout %s, block-sharing %s', async (version, extra, timeout, sharing) => {
    const dom0 = createDom0()
    const [major = '', minor = ''] = version.split('.')
    const folder = '/sys/hypervisor/version'
    for (const [name, text] of Object.entries({ major, minor, extra }))
      await plant(dom0, `${folder}/${name}`, `${text}\n`)
    expect(await levels(dom0.host, 'hotplug-timeout')).toEqual([timeout])
    expect(await levels(dom0.host, 'block-sharing')).toEqual([sharing])
  })

  test('is not told', async () => {
    const dom0 = createDom0()
    await dom0.host.files.remove('/sys/hypervisor/version/minor')
    expect(await levels(dom0.host, 'hotplug-timeout')).toEqual(['unknown'])
    expect(await levels(dom0.host, 'block-sharing')).toEqual(['unknown'])
  })

  test('needs no patch', async () => {
    const files = { '/sys/hypervisor/version/major': '4\n', '/sys/hypervisor/version/minor': '20\n' }
    expect(await readXenVersion(createMemoryFiles({ files }))).toEqual([4, 20, 0])
    expect(isOlder([4, 20, 0], [4, 20, 0])).toBe(false)
  })
})

test.each(['/etc/xensource-inventory', '/opt/xensource/bin/xe'])('xapi is told by %s', async path => {
  const dom0 = createDom0()
  expect(await levels(dom0.host, 'xapi')).toEqual(['ok'])
  await plant(dom0, path, '')
  expect(await levels(dom0.host, 'xapi')).toEqual(['error'])
})
