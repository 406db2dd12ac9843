import { describe, expect, test } from 'vitest'
import { attachLun, type Host } from 'xen-lun'
import { printed } from '../multipath/helpers.ts'
import { answering, createDom0, levels, look, plant, plantRecord, target } from './helpers.ts'

const SHOW = 'multipathd show config local'
const defaults = (...lines: readonly string[]): string => `defaults {\n${lines.map(line => `\t${line}\n`).join('')}}\n`
const configured = (host: Host, text: string): Host => answering(host, { [SHOW]: text })

test('the real multipathd of a host that is well has nothing that is amiss', async () => {
  const { host } = createDom0()
  for (const check of ['find-multipaths', 'user-friendly-names', 'no-path-retry', 'replacement-timeout'] as const) {
    expect(await levels(configured(host, printed('config')), check)).toEqual(['ok'])
  }
})

describe('multipath.conf', () => {
  test('is missing', async () => {
    const dom0 = createDom0()
    expect(await levels(dom0.host, 'multipath-conf')).toEqual(['ok'])
    await dom0.host.files.remove('/etc/multipath.conf')
    expect(await levels(dom0.host, 'multipath-conf')).toEqual(['warning'])
    await plant(dom0, '/etc/multipath/conf.d/README', '')
    expect(await levels(dom0.host, 'multipath-conf')).toEqual(['warning'])
    await plant(dom0, '/etc/multipath/conf.d/ours.conf', '')
    expect(await levels(dom0.host, 'multipath-conf')).toEqual(['ok'])
  })
})

test.each([
  ['off', 'ok'],
  ['greedy', 'ok'],
  ['strict', 'warning'],
  ['on', 'warning'],
  ['smart', 'warning'],
  ['later', 'unknown'],
])('find_multipaths %s: %s', async (word, level) => {
  const { host } = createDom0()
  expect(await levels(configured(host, defaults(`find_multipaths "${word}"`)), 'find-multipaths')).toEqual([level])
})

test.each([
  [true, 'warning'],
  [false, 'ok'],
])('user_friendly_names %s: %s', async (hasFriendlyNames, level) => {
  const { host } = createDom0({ multipath: { hasFriendlyNames } })
  expect(await levels(host, 'user-friendly-names')).toEqual([level])
})

describe('I/O without a path', () => {
  test.each([
    [defaults('no_path_retry 12'), 'ok', /waits for 12 checks/],
    [defaults('no_path_retry "queue"'), 'warning', /for ever/],
    [defaults('no_path_retry "fail"'), 'warning', /errors at once/],
    [defaults('polling_interval 5'), 'warning', /errors at once/],
    [`${defaults('no_path_retry 12')}overrides {\n no_path_retry queue\n}\n`, 'warning', /for ever/],
  ])('%j: %s', async (text, level, message) => {
    expect(await look(configured(createDom0().host, text), 'no-path-retry')).toMatchObject([
      { level, message: expect.stringMatching(message) },
    ])
  })

  const device = (line: string): string =>
    `${defaults('no_path_retry 12')}devices {\n device {\n vendor "EQLOGIC"\n product "100E-00"\n ${line}\n }\n}\n`

  test.each(['no_path_retry "queue"', 'features "1 queue_if_no_path"'])('of one kind of device: %s', async line => {
    const { host } = createDom0()
    expect(await look(configured(host, device(line)), 'no-path-retry')).toMatchObject([
      { level: 'warning', subject: 'EQLOGIC 100E-00' },
    ])
    const overridden = `${device(line)}overrides {\n no_path_retry 6\n}\n`
    expect(await levels(configured(host, overridden), 'no-path-retry')).toEqual(['ok'])
  })

  test.each([
    ['on', 'warning'],
    ['-', 'warning'],
    ['6 chk', 'ok'],
    ['13 sec', 'ok'],
  ])('of a map that queues, %j: %s', async (queueing, level) => {
    const dom0 = createDom0()
    const lun = await attachLun({ target, portals: dom0.san.portals }, dom0)
    const shown = await dom0.host.executor.exec({
      file: 'multipathd',
      args: ['show', 'maps', 'json'],
      decode: () => '',
    })
    const maps = shown.stdout
      .replace('"queueing" : "-"', `"queueing" : "${queueing}"`)
      .replace('"features" : "0"', '"features" : "1 queue_if_no_path"')
    const host = answering(configured(dom0.host, defaults('no_path_retry 12')), { 'multipathd show maps json': maps })
    const found = await look(host, 'no-path-retry')
    expect(found).toMatchObject([{ level, ...(level === 'warning' && { subject: lun.map?.name }) }])
    await lun.detach()
  })
})

describe('the timeout of a lost session', () => {
  const SETTING = 'node.session.timeo.replacement_timeout'
  const CONF = '/etc/iscsi/iscsid.conf'

  test.each([
    [defaults('fast_io_fail_tmo 5'), 'ok', /after 5 s/],
    [defaults('polling_interval 5'), 'ok', /after 5 s/],
    [defaults('fast_io_fail_tmo 60'), 'warning', /waits 60 s/],
  ])('is that of multipathd: %j', async (text, level, message) => {
    const dom0 = createDom0()
    await plantRecord(dom0, { [SETTING]: '120' })
    expect(await look(configured(dom0.host, text), 'replacement-timeout')).toMatchObject([
      { level, message: expect.stringMatching(message) },
    ])
  })

  test.each(['off', '0'])('is that of open-iscsi where fast_io_fail_tmo is %s', async word => {
    const dom0 = createDom0()
    const host = configured(dom0.host, defaults(`fast_io_fail_tmo ${word}`))
    // 120 s are built in.
    expect(await look(host, 'replacement-timeout')).toMatchObject([{ level: 'warning', subject: CONF }])
    await plant(dom0, CONF, `# a comment\n${SETTING} = 10\n`)
    expect(await levels(host, 'replacement-timeout')).toEqual(['ok'])
    const path = await plantRecord(dom0, { [SETTING]: '120' })
    expect(await look(host, 'replacement-timeout')).toMatchObject([{ level: 'warning', subject: path }])
    await plantRecord(dom0, { [SETTING]: '-1' })
    expect((await look(host, 'replacement-timeout'))[0]?.message).toMatch(/waits for ever/)
    await plantRecord(dom0, { [SETTING]: '15' })
    expect(await levels(host, 'replacement-timeout')).toEqual(['ok'])
  })
})
