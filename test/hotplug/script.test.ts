import { describe, expect, test } from 'vitest'
import { createXenstore } from 'xen-lun'
import { BACKEND, createDiskWorld, keysOf, leftovers, PORTALS, run, TARGET, target } from './disk.ts'

describe('add', () => {
  test('attaches the LUN and writes its device for blkback', async () => {
    const { dom0 } = createDiskWorld()
    expect((await run(dom0, 'add')).exitCode).toBe(0)
    const [map] = dom0.state().maps
    expect(map?.disks).toHaveLength(2)
    expect(await keysOf(dom0)).toEqual({
      'physical-device': expect.stringMatching(/^[1-9a-f][0-9a-f]*:(?:0|[1-9a-f][0-9a-f]*)$/),
      'physical-device-path': `/dev/mapper/${map?.name}`,
      'hotplug-status': 'connected',
    })
  })

  test("again changes nothing, and only takes Xen's lock", async () => {
    const { dom0 } = createDiskWorld()
    await run(dom0, 'add')
    const before = { keys: await keysOf(dom0), state: dom0.state() }
    const started = dom0.started.length
    expect((await run(dom0, 'add')).exitCode).toBe(0)
    expect({ keys: await keysOf(dom0), state: dom0.state() }).toEqual(before)
    expect(dom0.started.slice(started)).toEqual([expect.stringMatching(/^flock /)])
  })

  test('does not connect a second device to a disk', async () => {
    const { dom0 } = createDiskWorld()
    const xenstore = createXenstore(dom0.host)
    await xenstore.write({ [`${BACKEND}/physical-device`]: 'fe:63' })
    expect((await run(dom0, 'add')).exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-error']).toMatch(/serves device fe:63 already/)
    await xenstore.rm(`${BACKEND}/physical-device`)
    expect(leftovers(dom0)).toEqual([])
  })

  test('is busy, and names the domain, while another one has the volume', async () => {
    const { dom0 } = createDiskWorld()
    await run(dom0, 'add')
    const other = 'backend/vbd/2/51712'
    dom0.xen.addBackend({ domid: 2, devid: 51712, params: TARGET })
    expect((await run(dom0, 'add', { backend: other })).exitCode).toBe(1)
    expect(await keysOf(dom0, other)).toEqual({
      'hotplug-status': 'busy',
      'hotplug-error': expect.stringContaining('guest1'),
    })
    expect((await run(dom0, 'remove', { backend: other })).exitCode).toBe(0)
    expect((await keysOf(dom0))['hotplug-status']).toBe('connected')
  })

  test.each([
    ['w', 1],
    ['r', 0],
  ] as const)('of a LUN that is read-only, for mode %s, exits with %i', async (mode, exitCode) => {
    const volumes = [{ name: 'v0', sizeMiB: 64, isReadOnly: true }]
    const { dom0 } = createDiskWorld(TARGET, { volumes, targets: [{ iqn: target, luns: { 0: 'v0' } }] })
    const backend = 'backend/vbd/2/51712'
    dom0.xen.addBackend({ domid: 2, devid: 51712, params: TARGET, mode })
    expect((await run(dom0, 'add', { backend })).exitCode).toBe(exitCode)
    const keys = await keysOf(dom0, backend)
    if (mode === 'r') return expect(keys).toMatchObject({ 'hotplug-status': 'connected' })
    expect(keys).toEqual({ 'hotplug-status': 'error', 'hotplug-error': expect.stringContaining('is read-only') })
    expect(leftovers(dom0)).toEqual([])
  })

  test('takes away the error of an earlier try', async () => {
    const { dom0 } = createDiskWorld(undefined, { faults: { stopped: ['multipathd'] } })
    expect((await run(dom0, 'add')).exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-status']).toBe('error')
    await dom0.daemons.multipathd.start()
    expect((await run(dom0, 'add')).exitCode).toBe(0)
    expect(await keysOf(dom0)).not.toHaveProperty('hotplug-error')
  })

  test('ends with the paths that are there, and has the rest completed', async () => {
    const { dom0, backend } = createDiskWorld(undefined, { faults: { portals: { [PORTALS[1]]: 'cut' } } })
    const added = await run(dom0, 'add')
    expect([added.exitCode, added.later]).toEqual([0, ['complete']])
    const completing = run(dom0, 'complete', { host: dom0.startUser().host })
    await dom0.host.clock.sleep(20_000)
    await dom0.san.restorePortal(PORTALS[1])
    const { exitCode, log } = await completing
    expect([exitCode, log.at(-2)]).toEqual([0, `${BACKEND}: complete: 2 of 2 paths are up`])
    expect(dom0.state().maps[0]?.disks).toHaveLength(2)
    backend.disconnect()
    expect((await run(dom0, 'remove')).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
  })

  test('has its missing paths completed no longer than the disk is there', async () => {
    const { dom0, backend } = createDiskWorld(undefined, { faults: { portals: { [PORTALS[1]]: 'cut' } } })
    await run(dom0, 'add')
    const completing = run(dom0, 'complete', { host: dom0.startUser().host })
    await dom0.host.clock.sleep(20_000)
    backend.disconnect()
    expect((await run(dom0, 'remove', { host: dom0.startUser().host })).exitCode).toBe(0)
    await dom0.san.restorePortal(PORTALS[1])
    expect((await completing).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
  })

  test.each([
    ['a dead portal', `iqn=${target},portal=${PORTALS[1]}`, /10\.0\.2\.1/],
    ['no such LUN', `${TARGET},lun=9`, /LUN 9/],
    ['another volume', `${TARGET},wwid=3600000000000000000000000000000001`, /3600000000000000000000000000000001/],
    ['a bare name nobody knows', 'iqn.2001-05.com.example:nobody', /node database/],
  ])('fails with %s, says so, and leaves nothing', async (_, params, reason) => {
    const { dom0 } = createDiskWorld(params, { faults: { portals: { [PORTALS[1]]: 'cut' } } })
    const { exitCode, tookMs, isAbandoned } = await run(dom0, 'add')
    expect([exitCode, isAbandoned]).toEqual([1, false])
    const keys = await keysOf(dom0)
    expect(keys).toEqual({ 'hotplug-status': 'error', 'hotplug-error': expect.stringMatching(reason) })
    expect(keys['hotplug-error']).toMatch(/^[\x20-\x7e]{1,256}$/)
    expect(tookMs).toBeLessThan(32_000)
    expect(leftovers(dom0)).toEqual([])
  })

  test('counts the time that was gone before it started', async () => {
    const { dom0 } = createDiskWorld(undefined, { faults: { portals: { [PORTALS[0]]: 'cut', [PORTALS[1]]: 'cut' } } })
    const { exitCode, tookMs } = await run(dom0, 'add', { spentMs: 25_000 })
    expect([exitCode, tookMs < 7000]).toEqual([1, true])
    expect((await keysOf(dom0))['hotplug-status']).toBe('error')
  })

  test('names the command it hangs at', async () => {
    const { dom0 } = createDiskWorld()
    const { executor } = dom0.host
    const hanging: typeof executor = {
      exec: async (command, options) =>
        command.file === 'iscsiadm' ? await new Promise(() => {}) : await executor.exec(command, options),
    }
    const { exitCode, tookMs, isAbandoned } = await run(dom0, 'add', { host: { ...dom0.host, executor: hanging } })
    expect([exitCode, tookMs < 32_000, isAbandoned]).toEqual([1, true, true])
    expect((await keysOf(dom0))['hotplug-error']).toMatch(/timed out waiting for the end of records: iscsiadm /)
  })

  test('names the command that was cut short', async () => {
    const { dom0 } = createDiskWorld()
    const { executor } = dom0.host
    const hanging: typeof executor = {
      exec: async (command, options) => {
        if (command.file !== 'multipathd') return await executor.exec(command, options)
        await dom0.host.clock.sleep(100_000, options?.signal)
        throw new Error('it was to be cut short')
      },
    }
    const { exitCode } = await run(dom0, 'add', { host: { ...dom0.host, executor: hanging } })
    expect(exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-error']).toMatch(/timed out .*: multipathd show daemon \[op\]$/)
  })

  test('ends on SIGTERM with what it did taken back', async () => {
    const { dom0 } = createDiskWorld(undefined, { timing: { loginMs: 1500 } })
    const stop = new AbortController()
    const running = run(dom0, 'add', { signal: stop.signal })
    await dom0.host.clock.sleep(700)
    stop.abort(new Error('ended by SIGTERM'))
    expect((await running).exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-error']).toBe('ended by SIGTERM [op]')
    expect(leftovers(dom0)).toEqual([])
  })

  test('reports an error that nobody caught', async () => {
    const { dom0 } = createDiskWorld(undefined, { timing: { loginMs: 1500 } })
    const crash = dom0.host.clock.sleep(700).then(() => new TypeError('x is not a function'))
    const { exitCode, isAbandoned, log } = await run(dom0, 'add', { crash })
    expect([exitCode, isAbandoned]).toEqual([1, true])
    const told = { 'hotplug-status': 'error', 'hotplug-error': 'x is not a function [op]' }
    expect(await keysOf(dom0)).toEqual(told)
    // What it was at takes itself back: the toolstack has been told that it failed.
    await dom0.host.clock.sleep(60_000)
    expect(await keysOf(dom0)).toEqual(told)
    expect(log.at(-2)).toMatch(/taking back, because: x is not a function$/)
    expect(leftovers(dom0)).toEqual([])
  })

  test('without xenstored complains to whoever called', async () => {
    const { dom0 } = createDiskWorld(undefined, { faults: { stopped: ['xenstored'] } })
    const { exitCode, complaints } = await run(dom0, 'add')
    expect([exitCode, complaints.length]).toEqual([1, 1])
    expect(leftovers(dom0)).toEqual([])
  })
})

describe('remove', () => {
  test('leaves nothing, and again is nothing', async () => {
    const { dom0, backend } = createDiskWorld()
    await run(dom0, 'add')
    backend.disconnect()
    expect((await run(dom0, 'remove')).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
    const started = dom0.started.length
    const again = await run(dom0, 'remove')
    expect([again.exitCode, again.tookMs < 1000, dom0.started.length - started]).toEqual([0, true, 0])
  })

  test('never takes what was not added for this disk', async () => {
    const { dom0 } = createDiskWorld()
    await run(dom0, 'add')
    dom0.xen.addBackend({ domid: 2, devid: 51712, params: TARGET })
    expect((await run(dom0, 'remove', { backend: 'backend/vbd/2/51712' })).exitCode).toBe(0)
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('needs nothing but the journal, should xenstore have forgotten the disk', async () => {
    const { dom0, backend } = createDiskWorld()
    await run(dom0, 'add')
    backend.remove()
    expect((await run(dom0, 'remove')).exitCode).toBe(0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('waits for blkback to let go', async () => {
    const { dom0, backend } = createDiskWorld()
    await run(dom0, 'add')
    backend.setState('Closed')
    const removing = run(dom0, 'remove')
    await dom0.host.clock.sleep(3000)
    backend.disconnect()
    const { exitCode, tookMs } = await removing
    expect([exitCode, tookMs < 5000]).toEqual([0, true])
    expect(leftovers(dom0)).toEqual([])
  })

  test('of a disk that stays busy fails in time, names the user, and keeps the disk', async () => {
    const { dom0 } = createDiskWorld()
    await run(dom0, 'add')
    const { exitCode, tookMs } = await run(dom0, 'remove')
    expect([exitCode, tookMs < 32_000]).toEqual([1, true])
    expect((await keysOf(dom0))['hotplug-error']).toMatch(/vbd-1-51712/)
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('in a driver domain has 8 s, and leaves a busy disk to reconcile', async () => {
    const { dom0 } = createDiskWorld()
    await run(dom0, 'add')
    await createXenstore(dom0.host).write({ domid: '7' })
    const { exitCode, tookMs, log } = await run(dom0, 'remove')
    expect([exitCode, tookMs < 8000]).toEqual([0, true])
    expect(log.some(line => line.includes('left to reconcile'))).toBe(true)
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('leaves the LUN for whoever comes next, and has it released when nobody does', async () => {
    const { dom0, backend } = createDiskWorld()
    await dom0.host.files.replace('/etc/xen-lun.json', '{ "lingerMs": 30000 }', 0o644)
    await run(dom0, 'add')
    backend.disconnect()
    const { exitCode, later } = await run(dom0, 'remove')
    expect([exitCode, later, dom0.state().sessions.length]).toEqual([0, ['expire'], 2])
    const expiring = run(dom0, 'expire', { host: dom0.startUser().host })
    await dom0.host.clock.sleep(29_000)
    // Somebody looks at the device just when its time is over: it is tried again.
    const device = dom0.openDevice(`/dev/mapper/${dom0.state().maps[0]?.name}`, 4711)
    await dom0.host.clock.sleep(20_000)
    expect(dom0.state().sessions).toHaveLength(2)
    device.close()
    expect((await expiring).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
  })

  test('is not kept from it by settings that make no sense', async () => {
    const { dom0, backend } = createDiskWorld()
    await run(dom0, 'add')
    backend.disconnect()
    await dom0.host.files.replace('/etc/xen-lun.json', '{ "timeoutMS": 1 }', 0o644)
    expect((await run(dom0, 'add')).exitCode).toBe(1)
    expect((await keysOf(dom0))['hotplug-error']).toContain('timeoutMS')
    expect((await run(dom0, 'remove')).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
  })
})

describe('the call', () => {
  test.each([[[]], [['online']], [['add', 'now']], [['']], [['--help']], [['__proto__']]])(
    '%j is refused',
    async args => {
      const { dom0 } = createDiskWorld()
      const { exitCode, complaints } = await run(dom0, args)
      expect([exitCode, complaints.length]).toEqual([1, 1])
      expect([await keysOf(dom0), dom0.started]).toEqual([{}, []])
    }
  )

  test.each([
    [''],
    ['backend/vbd/1/51712/../../2/51712'],
    ['backend/vbd/1/51712x'],
    ['/backend/vbd/1/51712'],
    ['backend/vif/1/0'],
    ['backend/vbd/01/51712'],
    ['backend/vbd/32752/51712'],
    ['backend/vbd/1/536870912'],
    ['/local/domain/99999/backend/vbd/1/51712'],
    ['backend/vbd/1/51712\n'],
  ])('with XENBUS_PATH %j is refused', async backend => {
    const { dom0 } = createDiskWorld()
    const { exitCode, complaints } = await run(dom0, 'add', { backend })
    expect([exitCode, complaints.length]).toEqual([1, 1])
    expect(dom0.started).toEqual([])
  })

  test('with an absolute XENBUS_PATH is for the same disk', async () => {
    const { dom0, backend } = createDiskWorld()
    expect((await run(dom0, 'add', { backend: `/local/domain/0/${BACKEND}` })).exitCode).toBe(0)
    expect((await keysOf(dom0))['hotplug-status']).toBe('connected')
    backend.disconnect()
    expect((await run(dom0, 'remove')).exitCode).toBe(0)
    expect(leftovers(dom0)).toEqual([])
  })
})
