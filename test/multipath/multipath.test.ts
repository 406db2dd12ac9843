import { describe, expect, it } from 'vitest'
import { createMultipath } from '../../src/multipath/multipath.ts'
import { PATHS_FORMAT } from '../../src/multipath/paths.parse.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { cassette, printed, replay, says, W1, W2 } from './helpers.ts'

const SHOW_PATHS = `multipathd show paths raw format ${PATHS_FORMAT}`
const MAP_OF_W1 = { files: { '/sys/block/dm-0/dm/uuid': `mpath-${W1}\n`, '/sys/block/dm-0/dm/name': 'mpatha\n' } }

describe('looking', () => {
  it('shows the maps, one map and no map', async () => {
    const { multipath, executor } = replay(cassette('maps'))
    expect(await multipath.maps()).toHaveLength(1)
    expect(await multipath.map(W1)).toMatchObject({ device: 'dm-0' })
    expect(await multipath.map('nosuchmap')).toBeUndefined()
    expect(executor.unused()).toEqual([])
  })

  it('finds a map among all when multipathd says nothing but fail', async () => {
    const fail = [
      says(`multipathd show map ${W1} json`, 'fail\n', 1),
      says(`multipathd show map ${W2} json`, 'fail\n', 1),
    ]
    const { multipath } = replay([...fail, ...cassette('maps-friendly')])
    expect(await multipath.map(W1)).toMatchObject({ name: 'mpatha' })
    expect(await multipath.map(W2)).toBeUndefined()
  })

  it('shows the paths and the configuration', async () => {
    const { multipath } = replay([...cassette('paths'), ...cassette('config')])
    expect((await multipath.paths()).map(({ device }) => device)).toEqual(['sda', 'sdb', 'sdc', 'nvme0n1'])
    expect(await multipath.config()).toMatchObject({ findMultipaths: 'off' })
  })

  it.each([
    ['True', true],
    ['False', false],
  ])('reads busy: %s', async (word, expected) => {
    const { multipath } = replay([
      says('multipathd show status', `path checker states:\nup 2\n\npaths: 2\nbusy: ${word}\n`),
    ])
    expect(await multipath.isBusy()).toBe(expected)
  })

  it('refuses a status that does not say', async () => {
    const { multipath } = replay([says('multipathd show status', 'paths: 2\n')])
    await expect(multipath.isBusy()).rejects.toMatchObject({ code: 'UNEXPECTED_OUTPUT' })
  })

  it('names a refused command and the answer', async () => {
    const { multipath } = replay([
      says('multipathd show config local', 'show config local \n: Missing argument\nusage…\n', 1),
    ])
    await expect(multipath.config()).rejects.toMatchObject({
      code: 'MULTIPATHD_REFUSED',
      details: { command: 'multipathd show config local', answer: 'show config local' },
    })
  })
})

describe('without multipathd', () => {
  it('is not running, and every question says so', async () => {
    const { multipath } = replay(cassette('no-daemon'))
    expect(await multipath.isRunning()).toBe(false)
    await expect(multipath.maps()).rejects.toMatchObject({
      code: 'MULTIPATHD_NOT_RUNNING',
      details: { command: 'multipathd show maps json' },
    })
  })

  it('is running when it answers', async () => {
    expect(await replay(cassette('orders')).multipath.isRunning()).toBe(true)
  })

  it('flushes without it', async () => {
    const [, , noDaemon] = cassette('no-daemon')
    const { multipath } = replay([...(noDaemon ? [noDaemon] : []), says(`multipath -f ${W1}`, '')])
    expect(await multipath.flush(W1)).toBe('flushed')
  })

  it('asks the kernel whether a flush without it had an effect', async () => {
    await expect(replay(cassette('no-daemon'), MAP_OF_W1).multipath.flush(W1)).rejects.toMatchObject({
      code: 'MAP_BUSY',
    })
    expect(await replay(cassette('no-daemon')).multipath.flush(W1)).toBe('absent')
  })
})

describe('orders', () => {
  it('are given in multipathd words', async () => {
    const { multipath, executor } = replay(cassette('orders'))
    await multipath.isRunning()
    expect(await multipath.addMap(W2)).toBe('added')
    expect(await multipath.addPath('sdc')).toBe('added')
    await multipath.resize(W2)
    await multipath.disableQueueing(W1)
    await expect(multipath.resize('nosuchmap')).rejects.toMatchObject({
      code: 'MULTIPATHD_REFUSED',
      details: { command: 'multipathd resize map nosuchmap', answer: 'device not found' },
    })
    expect(executor.unused()).toEqual([])
  })

  it('restore queueing', async () => {
    const { multipath, executor } = replay([says('multipathd restorequeueing map mpatha', 'ok\n')])
    await multipath.restoreQueueing('mpatha')
    expect(executor.unused()).toEqual([])
  })

  it.each([
    ['fail\n', 1, 'fail'],
    ['fail\n', 0, 'fail'],
    ['blacklisted\n', 0, 'blacklisted'],
    ['permission deny: need to be root\n', 1, 'permission deny: need to be root'],
    ['', 0, ''],
  ])('are refused with %j, exit %i', async (stdout, exitCode, answer) => {
    const { multipath } = replay([says('multipathd add path sda', stdout, exitCode)])
    await expect(multipath.addPath('sda')).rejects.toMatchObject({ code: 'MULTIPATHD_REFUSED', details: { answer } })
  })

  it.each([
    ['timeout\n', 0],
    ['timeout receiving packet\n', 1],
    ['error -5 receiving packet\n', 1],
    ['cannot send packet\n', 1],
  ])('are repeated after %j', async (stdout, exitCode) => {
    const command = 'multipathd add path sda'
    const { multipath, executor } = replay([says(command, stdout, exitCode), says(command, 'ok\n')])
    expect(await multipath.addPath('sda')).toBe('added')
    expect(executor.calls).toEqual([command, command])
  })

  it('end after 10 s without an answer', async () => {
    const clock = createFakeClock()
    const { executor } = replay([says('multipathd add path sda', 'timeout\n')])
    const multipath = createMultipath({ executor, files: createMemoryFiles(), clock })
    await expect(multipath.addPath('sda')).rejects.toMatchObject({
      code: 'MULTIPATHD_TIMEOUT',
      details: { command: 'multipathd add path sda', answer: 'timeout' },
    })
    expect(clock.now()).toBeGreaterThan(5000)
    expect(clock.now()).toBeLessThanOrEqual(10_000)
  })

  it('are not given after an abort', async () => {
    const { multipath, executor } = replay(cassette('maps'))
    const reason = new Error('no longer wanted')
    await expect(multipath.maps({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(executor.calls).toEqual([])
  })
})

describe('flushing', () => {
  it('is busy, done, and already done', async () => {
    const { multipath } = replay(cassette('flush'))
    await expect(multipath.flush(W1)).rejects.toMatchObject({ code: 'MAP_BUSY', details: { map: W1 } })
    expect(await multipath.flush(W1)).toBe('flushed')
    expect(await multipath.flush(W1)).toBe('absent')
  })

  it('is busy when it is deferred until the map is closed', async () => {
    const { multipath } = replay([says('multipathd del map mpatha', 'delayed')])
    await expect(multipath.flush('mpatha')).rejects.toMatchObject({ code: 'MAP_BUSY' })
  })

  it('asks the kernel when an old multipathd says nothing but fail', async () => {
    const fail = [says('multipathd del map mpatha', 'fail\n', 1)]
    await expect(replay(fail, MAP_OF_W1).multipath.flush('mpatha')).rejects.toMatchObject({ code: 'MAP_BUSY' })
    expect(await replay(fail).multipath.flush('mpatha')).toBe('absent')
  })

  it('does not take a volume of LVM for the map', async () => {
    const fail = [says('multipathd del map vg0', 'fail\n', 1)]
    const files = {
      '/sys/block/dm-1/dm/uuid': 'LVM-x\n',
      '/sys/block/dm-1/dm/name': 'vg0\n',
      '/sys/block/sda/size': '1',
    }
    expect(await replay(fail, { files }).multipath.flush('vg0')).toBe('absent')
  })

  it('passes other refusals on', async () => {
    const { multipath } = replay([says('multipathd del map x', 'permission deny: need to be root\n', 1)])
    await expect(multipath.flush('x')).rejects.toMatchObject({ code: 'MULTIPATHD_REFUSED' })
  })
})

describe('forgetting a path', () => {
  it.each([
    ['ok\n', 0, 'removed'],
    ['map reload error. removed\n', 0, 'removed'],
    ['delayed\n', 0, 'delayed'],
    ['device not found\n', 1, 'absent'],
  ])('answers %j as %s', async (stdout, exitCode, expected) => {
    const { multipath } = replay([says('multipathd del path sda', stdout, exitCode)])
    expect(await multipath.delPath('sda')).toBe(expected)
  })

  it('looks at the paths when multipathd says nothing but fail', async () => {
    const fail = says('multipathd del path sda', 'fail\n', 1)
    await expect(replay([fail, ...cassette('paths')]).multipath.delPath('sda')).rejects.toMatchObject({
      code: 'MULTIPATHD_REFUSED',
      details: { command: 'multipathd del path sda', answer: 'fail' },
    })
    expect(await replay([fail, says(SHOW_PATHS, 'ok\n')]).multipath.delPath('sda')).toBe('absent')
  })
})

describe('the wwids file', () => {
  it('gets an entry for a device', async () => {
    expect(await replay(cassette('wwids')).multipath.addWwid('sda')).toBe(W1)
  })

  it.each([
    [`wwid '${W1}' removed\n`, 0, 'removed'],
    [`wwid '${W1}' not in wwids file\n`, 0, 'absent'],
    [`wwid '${W1}' not in wwids file\n`, 1, 'absent'],
  ])('loses an entry: %j', async (stdout, exitCode, expected) => {
    expect(await replay([says(`multipath -w ${W1}`, stdout, exitCode)]).multipath.removeWwid(W1)).toBe(expected)
  })

  it.each(['-a /dev/sda', `-w ${W1}`])('reports what failed: multipath %s', async args => {
    const { multipath } = replay([{ ...says(`multipath ${args}`, '', 1), stderr: 'cannot get kernel dm version\n' }])
    const call = args.startsWith('-a') ? multipath.addWwid('sda') : multipath.removeWwid(W1)
    await expect(call).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      details: { command: `multipath ${args}`, exitCode: 1, stderr: 'cannot get kernel dm version' },
    })
  })

  it('is read', async () => {
    const files = { '/etc/multipath/wwids': cassette('wwids')[1]?.stdout ?? '' }
    expect(await replay([], { files }).multipath.wwids()).toEqual([W1])
    expect(await replay([]).multipath.wwids()).toEqual([])
  })
})

describe('input', () => {
  const bad = ['', '-f', '/dev/sda', 'a b', 'a"b', 'a\nb', 'a\tb', '../x', 'ä', 'x'.repeat(128)]

  it.each(bad)('that is no name runs nothing: %j', async text => {
    const { multipath, executor } = replay([])
    const calls = [
      () => multipath.map(text),
      () => multipath.addPath(text),
      () => multipath.delPath(text),
      () => multipath.addMap(text),
      () => multipath.flush(text),
      () => multipath.resize(text),
      () => multipath.disableQueueing(text),
      () => multipath.restoreQueueing(text),
      () => multipath.addWwid(text),
      () => multipath.removeWwid(text),
    ]
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(executor.calls).toEqual([])
  })

  it('may be an alias, a WWID or a device', async () => {
    const { multipath } = replay([
      says('multipathd del map vm-1.data_2', 'ok\n'),
      says('multipathd add path nvme0n1', 'ok\n'),
      says(
        'multipathd show map mpatha json',
        printed('maps')
          .replace('"maps": [{', '"map":{')
          .replace(/\}\]\n\}\n$/, '}}')
      ),
    ])
    expect(await multipath.flush('vm-1.data_2')).toBe('flushed')
    expect(await multipath.addPath('nvme0n1')).toBe('added')
    expect(await multipath.map('mpatha')).toMatchObject({ name: W1 })
  })
})
