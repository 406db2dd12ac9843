import { describe, expect, test } from 'vitest'
import { attachLun, createXenstore, type Files } from 'xen-lun'
import type { BackendSpec, SimulatedDom0, SimulationOptions, XenBackend } from 'xen-lun/testing'
import { alias, attach, createDom0, detach, expectNoChange, ownersOf, target, uuidOf, VBD_1, VBD_2 } from '../guests.ts'
import { withoutConnection } from '../helpers.ts'

const QDISK_2 = 'backend/qdisk/2/51712'
const shared = { code: 'LUN_SHARED', details: { target, lun: 0, domain: 'guest1', backend: VBD_1 } }

/** The backend a toolstack makes before it calls the block script. */
function addBackend({ xen }: SimulatedDom0, domid: number, more: Partial<BackendSpec> = {}): XenBackend {
  return xen.addBackend({ domid, devid: 51712, ...more })
}

/** Domain 1 has LUN 0, attached by its backend or by hand. */
async function serve(dom0: SimulatedDom0, more: Partial<BackendSpec> = {}, owner = VBD_1): Promise<XenBackend> {
  const { device } = await attach(dom0, owner)
  const backend = addBackend(dom0, 1, { device, ...more })
  backend.connect()
  return backend
}

/** Domain 2 asks for the same volume. */
async function ask(dom0: SimulatedDom0, mode: 'r' | 'w' = 'w'): Promise<unknown> {
  const backend = addBackend(dom0, 2, { mode })
  return await attach(dom0, VBD_2).then(
    ({ outcome }) => outcome,
    (error: unknown) => {
      backend.remove()
      return error
    }
  )
}

async function setVm({ host }: SimulatedDom0, domid: number, uuid: string | undefined): Promise<void> {
  const xenstore = createXenstore(host)
  const path = `/local/domain/${domid}/vm`
  if (uuid === undefined) await xenstore.rm(path)
  else await xenstore.write({ [path]: `/vm/${uuid}` })
}

describe('a volume another domain has is refused', () => {
  test('naming the domain and its backend', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    const error = await expectNoChange(dom0, async () => await ask(dom0))
    const { wwid } = dom0.state().disks[0] ?? {}
    expect(error).toMatchObject({ code: 'LUN_SHARED', details: { ...shared.details, wwid } })
    expect(error).toHaveProperty('message', expect.stringMatching(/guest1.*backend\/vbd\/1\/51712/))
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
  })

  test('to an owner that is no domain, too', async () => {
    const dom0 = createDom0()
    await serve(dom0, { mode: 'r' })
    await expect(expectNoChange(dom0, async () => await attach(dom0, 'rescue'))).rejects.toMatchObject(shared)
  })

  test('by its number where the domain has no name', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    dom0.xen.removeDomain(1)
    expect(await ask(dom0)).toMatchObject({ code: 'LUN_SHARED', details: { domain: '1' } })
  })

  test.each([
    ['r', 'r', 'already-attached'],
    ['r', 'w', shared],
    ['w', 'r', shared],
    ['w', 'w', shared],
  ] as const)('or not: one has it as %s, the other one wants it as %s', async (has, wants, outcome) => {
    const dom0 = createDom0()
    await serve(dom0, { mode: has })
    const answer = await ask(dom0, wants)
    if (typeof outcome === 'string') expect(answer).toBe(outcome)
    else expect(answer).toMatchObject(outcome)
  })

  test('whoever attached it for that domain', async () => {
    const dom0 = createDom0()
    await serve(dom0, {}, 'by hand')
    expect(await ask(dom0)).toMatchObject(shared)
  })

  test('through another target and number', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    addBackend(dom0, 2)
    const before = dom0.state()
    const handOver = async (): Promise<void> => expect.fail('handed over')
    const twice = async (): Promise<unknown> => await attach(dom0, VBD_2, { target: alias, lun: 5 }, { handOver })
    await expect(twice()).rejects.toMatchObject({
      code: 'LUN_SHARED',
      details: { target: alias, lun: 5, domain: 'guest1', backend: VBD_1 },
    })
    expect(dom0.state()).toEqual(before)
    expect(dom0.state().maps.map(({ disks }) => disks.length)).toEqual([2])
    expect(await detach(dom0, VBD_2, 5, alias)).toEqual(['already-detached'])
  })

  test('though that domain was given a plain path of it', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'by hand')
    addBackend(dom0, 1, { device: '/dev/sda' }).connect()
    expect(await ask(dom0)).toMatchObject(shared)
    const elsewhere = async (): Promise<unknown> => await attach(dom0, 'x', { target: alias, lun: 5 })
    await expect(elsewhere()).rejects.toMatchObject({ code: 'LUN_SHARED', details: { backend: VBD_1 } })
  })

  test('but not another one of the same target', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    await attach(dom0, VBD_2, { lun: 1 })
    expect(Object.keys(await ownersOf(dom0.host, 1))).toEqual([VBD_2])
  })

  test('though that domain was given a partition of it', async () => {
    const dom0 = createDom0()
    const { device, wwid } = await attach(dom0, 'by hand')
    const part = dom0.stackDevice({ on: device, name: 'part1', uuid: `part1-mpath-${wwid}` })
    addBackend(dom0, 1, { device: part.path }).connect()
    expect(await ask(dom0)).toMatchObject(shared)
  })
})

describe('a part of the volume that another domain has keeps the whole from the next one:', () => {
  const onTop: readonly (readonly [string, (dom0: SimulatedDom0, device: string) => string])[] = [
    ['an LV', (dom0, on) => dom0.stackDevice({ on, name: 'vg-lv', uuid: 'LVM-abc' }).path],
    ['a crypt device', (dom0, on) => dom0.stackDevice({ on, name: 'luks', uuid: 'CRYPT-LUKS2-abc-luks' }).path],
    [
      'an LV on a partition of its map',
      (dom0, on) => {
        const { path } = dom0.stackDevice({ on, name: 'part1', uuid: 'part1-mpath-abc' })
        return dom0.stackDevice({ on: path, name: 'vg-lv', uuid: 'LVM-abc' }).path
      },
    ],
    ['a partition of the kernel', dom0 => dom0.partition('/dev/sda').path],
    [
      'an LV on a partition of the kernel',
      dom0 => dom0.stackDevice({ on: dom0.partition('/dev/sda').path, name: 'vg-lv', uuid: 'LVM-abc' }).path,
    ],
  ]

  test.each(onTop.flatMap(([what, make]) => [[what, 'vbd', make] as const, [what, 'qdisk', make] as const]))(
    '%s, by %s',
    async (what, kind, make) => {
      const isPlain = what.endsWith('the kernel')
      const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
      const how = isPlain ? ({ multipath: 'never', portals: ['10.0.1.1'] } as const) : {}
      const { device } = await attach(dom0, 'by hand', how)
      addBackend(dom0, 1, { kind, device: make(dom0, device) }).connect()
      addBackend(dom0, 2)
      const refused = { code: 'LUN_SHARED', details: { domain: 'guest1', backend: `backend/${kind}/1/51712` } }
      await expect(attach(dom0, VBD_2, how)).rejects.toMatchObject(refused)
    }
  )

  test('but nothing of another volume does', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand', { lun: 1 })
    const { path } = dom0.stackDevice({ on: device, name: 'vg-lv', uuid: 'LVM-abc' })
    addBackend(dom0, 1, { device: path }).connect()
    expect(await ask(dom0)).toBe('attached')
  })
})

describe('a volume that names itself nowhere', () => {
  const plain = { multipath: 'never', portals: ['10.0.1.1'] } as const

  /** No device has a page 0x83 that could be read. */
  function nameless(): SimulatedDom0 {
    const dom0 = createDom0({ multipath: { findMultipaths: 'strict' } })
    const { files } = dom0.host
    const read: Files['read'] = async path => (path.endsWith('/device/wwid') ? undefined : await files.read(path))
    return { ...dom0, host: { ...dom0.host, files: { ...files, read } } }
  }

  test('is refused by its device', async () => {
    const dom0 = nameless()
    const { device, wwid } = await attach(dom0, 'by hand', plain)
    expect(wwid).toBeUndefined()
    addBackend(dom0, 1, { device }).connect()
    addBackend(dom0, 2)
    const refused = { code: 'LUN_SHARED', details: { wwid: undefined, domain: 'guest1', backend: VBD_1 } }
    await expect(attach(dom0, VBD_2, plain)).rejects.toMatchObject(refused)
    await expect(attach(dom0, 'rescue', plain)).rejects.toMatchObject(refused)
  })

  test('is refused by what the journal says of its LUN, before blkback has it', async () => {
    const dom0 = nameless()
    addBackend(dom0, 1)
    await attach(dom0, VBD_1, plain)
    addBackend(dom0, 2)
    await expect(attach(dom0, VBD_2, plain)).rejects.toMatchObject({ code: 'LUN_SHARED', details: { backend: VBD_1 } })
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached' })
  })

  test('is not taken for another one', async () => {
    const dom0 = nameless()
    const { device } = await attach(dom0, VBD_1, { ...plain, lun: 1 })
    addBackend(dom0, 1, { device }).connect()
    addBackend(dom0, 2)
    expect((await attach(dom0, VBD_2, plain)).outcome).toBe('attached')
  })
})

describe('a disk that QEMU serves', () => {
  const asked = { code: 'LUN_SHARED', details: { domain: 'guest1', backend: 'backend/qdisk/1/51712' } }

  test.each(['aio:', 'host_device:', ''])('is found by its params %j', async prefix => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand')
    addBackend(dom0, 1, { kind: 'qdisk', device, params: `${prefix}${device}` }).connect()
    expect(await ask(dom0)).toMatchObject(asked)
  })

  test('counts before QEMU has opened it, by a plain path too', async () => {
    const dom0 = createDom0()
    await attach(dom0, 'by hand')
    addBackend(dom0, 1, { kind: 'qdisk', device: '/dev/sda' })
    expect(await ask(dom0)).toMatchObject(asked)
  })

  test.each(['rescue', undefined])('is found for an owner that is no domain, too: %s', async owner => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand')
    addBackend(dom0, 1, { kind: 'qdisk', device })
    const started = dom0.started.length
    await expect(attach(dom0, owner)).rejects.toMatchObject(asked)
    expect(dom0.started.slice(started)).toEqual([])
  })

  test('is no hindrance where it is another volume, a file, or nothing at all', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand', { lun: 1 })
    addBackend(dom0, 1, { kind: 'qdisk', device }).connect()
    addBackend(dom0, 1, { kind: 'qdisk', devid: 51728, params: 'aio:/var/lib/xen/guest1.img' })
    addBackend(dom0, 1, { kind: 'qdisk', devid: 51744, params: '' })
    await dom0.host.files.replace('/etc/disk.img', '', 0o600)
    addBackend(dom0, 1, { kind: 'qdisk', devid: 51760, params: 'qcow2:/etc/disk.img' })
    expect(await ask(dom0)).toBe('attached')
  })

  test('is no hindrance to itself', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, QDISK_2)
    addBackend(dom0, 2, { kind: 'qdisk', device }).connect()
    expect((await attach(dom0, QDISK_2)).outcome).toBe('already-attached')
  })

  test.each([
    ['r', 'already-attached'],
    ['w', asked],
  ] as const)('that is open for %s', async (mode, outcome) => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand')
    addBackend(dom0, 1, { kind: 'qdisk', device, mode }).connect()
    const answer = await ask(dom0, 'r')
    if (typeof outcome === 'string') expect(answer).toBe(outcome)
    else expect(answer).toMatchObject(outcome)
  })
})

describe('the same VM', () => {
  test('may have it twice, while it migrates to its own host', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    await setVm(dom0, 2, uuidOf(1))
    expect(await ask(dom0)).toBe('already-attached')
    expect(await ownersOf(dom0.host)).toEqual({ [VBD_1]: 'attached', [VBD_2]: 'attached' })
  })

  test('may have it as two disks', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    addBackend(dom0, 1, { devid: 51728 })
    expect((await attach(dom0, 'backend/vbd/1/51728')).outcome).toBe('already-attached')
  })

  test('is a domain that does not say yet which VM it is, to itself', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    await setVm(dom0, 1, undefined)
    addBackend(dom0, 1, { devid: 51728 })
    expect((await attach(dom0, 'backend/vbd/1/51728')).outcome).toBe('already-attached')
  })

  test('attaches again what it has', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    expect((await attach(dom0, VBD_1)).outcome).toBe('already-attached')
  })

  test.each([
    ['Closed', 'already-attached'],
    ['Connected', 'LUN_SHARED'],
    ['InitWait', 'LUN_SHARED'],
    ['Closing', 'LUN_IN_USE'],
  ] as const)('is meant by a backend without a domain that is %s: %s', async (state, outcome) => {
    const dom0 = createDom0()
    const backend = await serve(dom0)
    await setVm(dom0, 1, undefined)
    backend.setState(state)
    const answer = await ask(dom0)
    if (outcome === 'already-attached') expect(answer).toBe(outcome)
    else expect(answer).toMatchObject({ code: outcome })
  })

  test('is not meant by a domain that closes its disk and is known to be another one', async () => {
    const dom0 = createDom0()
    const backend = await serve(dom0)
    backend.setState('Closing')
    expect(await ask(dom0)).toMatchObject(shared)
  })

  test('is not meant where neither domain says which VM it is', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    await setVm(dom0, 1, undefined)
    await setVm(dom0, 2, undefined)
    expect(await ask(dom0)).toMatchObject(shared)
  })
})

describe('the stub domain of a guest', () => {
  const STUB = 'backend/vbd/7/51712'

  /** Domain 7 runs the device model of a guest, and has its disks as well. */
  async function addStub(dom0: SimulatedDom0, serves = 1, domid = 7): Promise<XenBackend> {
    dom0.xen.addDomain({ domid, name: `stub${domid}`, uuid: uuidOf(domid) })
    await createXenstore(dom0.host).write({ [`/local/domain/${domid}/target`]: String(serves) })
    return addBackend(dom0, domid)
  }

  test('has its disk, too', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    await addStub(dom0)
    expect((await attach(dom0, STUB)).outcome).toBe('already-attached')
  })

  test('may have it first', async () => {
    const dom0 = createDom0()
    await addStub(dom0, 2)
    await attach(dom0, STUB)
    expect(await ask(dom0)).toBe('already-attached')
  })

  test('lets the guest have it that takes the place of its own', async () => {
    const dom0 = createDom0()
    await addStub(dom0)
    await attach(dom0, STUB)
    await setVm(dom0, 2, uuidOf(1))
    expect(await ask(dom0)).toBe('already-attached')
  })

  test.each([
    ['Connected', 'LUN_SHARED'],
    ['Closing', 'LUN_IN_USE'],
    ['Closed', 'already-attached'],
  ] as const)(
    'whose guest is gone, so that nobody knows its uuid, counts by what its backend does: %s',
    async (state, outcome) => {
      const dom0 = createDom0()
      const stub = await addStub(dom0)
      const { major, minor } = (await attach(dom0, STUB)).deviceNumber
      await createXenstore(dom0.host).write({ [`${STUB}/physical-device`]: `${major.toString(16)}:${minor}` })
      dom0.xen.removeDomain(1)
      await setVm(dom0, 2, uuidOf(1))
      stub.setState(state)
      const answer = await ask(dom0)
      if (outcome === 'already-attached') expect(answer).toBe(outcome)
      else expect(answer).toMatchObject({ code: outcome })
    }
  )

  test('of a guest and the one of its next incarnation have it both', async () => {
    const dom0 = createDom0()
    await addStub(dom0, 1, 7)
    await attach(dom0, STUB)
    await setVm(dom0, 2, uuidOf(1))
    await addStub(dom0, 2, 8)
    expect((await attach(dom0, 'backend/vbd/8/51712')).outcome).toBe('already-attached')
  })

  test('of one guest keeps the disk from another one', async () => {
    const dom0 = createDom0()
    await addStub(dom0)
    await attach(dom0, STUB)
    expect(await ask(dom0)).toMatchObject({ code: 'LUN_SHARED', details: { domain: 'stub7', backend: STUB } })
  })
})

describe('a domain that was given the volume and has not connected yet', () => {
  test.each([
    [target, 0],
    [alias, 5],
  ])('counts while its backend is in xenstore: %s LUN %i', async (of, lun) => {
    const dom0 = createDom0()
    const backend = addBackend(dom0, 1)
    await attach(dom0, VBD_1, { target: of, lun })
    expect(await ask(dom0)).toMatchObject(shared)
    backend.remove()
    expect(await ask(dom0)).toBe(of === target ? 'already-attached' : 'attached')
  })

  test.each([
    ['r', 'r', 'already-attached'],
    ['w', 'r', shared],
  ] as const)('counts by the mode of its backend: %s, then %s', async (has, wants, outcome) => {
    const dom0 = createDom0()
    addBackend(dom0, 1, { mode: has })
    await attach(dom0, VBD_1)
    const answer = await ask(dom0, wants)
    if (typeof outcome === 'string') expect(answer).toBe(outcome)
    else expect(answer).toMatchObject(outcome)
  })

  test('does not count after a reboot', async () => {
    const dom0 = createDom0()
    addBackend(dom0, 1)
    await attach(dom0, VBD_1, { target: alias, lun: 5 })
    const path = `/run/xen-lun/luns/${alias},5.json`
    const text = (await dom0.host.files.read(path)) ?? ''
    await dom0.reboot()
    await dom0.host.files.makeDirectory('/run/xen-lun/luns', 0o700)
    await dom0.host.files.replace(path, text, 0o600)
    addBackend(dom0, 1)
    expect(await ask(dom0)).toBe('attached')
  })
})

describe('sharing', () => {
  test('is allowed to who says so', async () => {
    const dom0 = createDom0()
    await serve(dom0)
    addBackend(dom0, 2)
    expect((await attach(dom0, VBD_2, { sharing: 'allowed' })).outcome).toBe('already-attached')
    expect((await attach(dom0, 'backup', { sharing: 'allowed' })).outcome).toBe('already-attached')
    await attach(dom0, VBD_2, { target: alias, lun: 5, sharing: 'allowed' })
    // The answer is that of the request: nothing is remembered of it.
    await expect(attach(dom0, VBD_2)).rejects.toMatchObject(shared)
  })

  test('knows two answers only', async () => {
    const dom0 = createDom0()
    // @ts-expect-error -- what JavaScript may pass
    await expect(attach(dom0, VBD_2, { sharing: 'yes' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      details: { field: 'sharing' },
    })
    expect(dom0.started).toEqual([])
  })

  test('that is refused hands nothing over and leaves nothing that was not there', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand', { target: alias, lun: 5 })
    addBackend(dom0, 1, { device }).connect()
    addBackend(dom0, 2)
    const before = dom0.state()
    let isHanded = false
    const handOver = async (): Promise<void> => {
      isHanded = true
    }
    const refused = async (): Promise<unknown> => await attach(dom0, VBD_2, {}, { handOver })
    await expect(refused()).rejects.toMatchObject(shared)
    expect(dom0.state()).toEqual(before)
    expect([isHanded, await dom0.host.files.list('/var/run/xen-hotplug')]).toEqual([false, []])
  })
})

describe.each([
  ['', createDom0],
  [', on a host of four ports', (options?: SimulationOptions) => withoutConnection(createDom0(options))],
])('while xenstored does not answer%s', (_, create) => {
  const unavailable = { code: 'XENSTORE_UNAVAILABLE' }

  test('a domain that may have the volume is not taken for none', async () => {
    const dom0 = create()
    addBackend(dom0, 1)
    await attach(dom0, VBD_1, { target: alias, lun: 5 })
    const before = dom0.state()
    await dom0.daemons.xenstored.stop()
    for (const owner of ['rescue', VBD_2]) {
      await expect(attach(dom0, owner)).rejects.toMatchObject(unavailable)
      await expect(attach(dom0, owner, { target: alias, lun: 5 })).rejects.toMatchObject(unavailable)
    }
    expect(dom0.state()).toEqual(before)
    await dom0.daemons.xenstored.start()
    expect(await ask(dom0)).toMatchObject(shared)
  })

  test('a disk is not attached for a domain, and nothing is left over', async () => {
    const dom0 = create({ faults: { stopped: ['xenstored'] } })
    await expect(attach(dom0, VBD_1)).rejects.toMatchObject(unavailable)
    expect(dom0.leftovers()).toEqual([])
    expect(await dom0.host.files.list('/var/run/xen-hotplug')).toEqual([])
  })

  test('a volume that a domain has is refused, with the number of the domain', async () => {
    const dom0 = create()
    await serve(dom0, {}, 'by hand')
    await dom0.daemons.xenstored.stop()
    await expect(attach(dom0, 'rescue')).rejects.toMatchObject({ code: 'LUN_SHARED', details: { domain: '1' } })
    await expect(attach(dom0, VBD_2)).rejects.toMatchObject(unavailable)
  })
})

describe('xenstore', () => {
  test('is not asked for an owner that is no domain where no domain has a disk', async () => {
    const dom0 = createDom0()
    // Whoever asks finds no connection, and tries a command.
    await dom0.daemons.xenstored.stop()
    const lun = await attachLun({ target, portals: dom0.san.portals }, { host: dom0.host, owner: 'backup' })
    await attach(dom0, 'other')
    await lun.detach()
    expect(await detach(dom0, 'other')).toEqual(['detached'])
    expect(dom0.started.filter(line => line.startsWith('xenstore'))).toEqual([])
  })

  test('is not asked about domains that have other volumes', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 'by hand', { lun: 1 })
    addBackend(dom0, 1, { device }).connect()
    await dom0.daemons.xenstored.stop()
    await attach(dom0, 'backup')
    expect(dom0.started.filter(line => line.startsWith('xenstore'))).toEqual([])
  })
})
