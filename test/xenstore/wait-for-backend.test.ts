import { describe, expect, test } from 'vitest'
import { createXenstore, type Host, waitForBackend, type Xenstore } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { guest, rejection, withoutConnection } from '../lun/helpers.ts'

const disk = { domid: 1, vdev: 'xvda' }
const path = '/local/domain/7/backend/vbd/1/51712'
const connected = { backendPath: path, physicalDevice: { major: 253, minor: 10 }, physicalDevicePath: '/dev/mapper/v0' }

/** A guest whose disk a driver domain serves. */
function createDom0(): SimulatedDom0 {
  const dom0 = createSimulatedDom0()
  dom0.xen.addDomain(guest)
  return dom0
}

const addBackend = ({ xen }: SimulatedDom0) => xen.addBackend({ domid: 1, devid: 51712, backendDomid: 7 })

/** What the driver domain's script writes when it is through. */
const succeed = async (xenstore: Xenstore): Promise<void> => {
  await xenstore.write({ [`${path}/physical-device`]: 'fd:a', [`${path}/physical-device-path`]: '/dev/mapper/v0' })
  await xenstore.write({ [`${path}/hotplug-status`]: 'connected' })
}

const fail = async (xenstore: Xenstore, error: string, status = 'error'): Promise<void> =>
  await xenstore.write({ [`${path}/hotplug-error`]: error, [`${path}/hotplug-status`]: status })

/** Waits, and does something else a second later. */
async function meanwhile(
  { host }: SimulatedDom0,
  work: (xenstore: Xenstore) => Promise<void> | void,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}
): Promise<unknown> {
  const xenstore = createXenstore(host)
  const later = host.clock.sleep(1000).then(async () => await work(xenstore))
  const outcome = waitForBackend(disk, { host, ...options }).catch((error: unknown) => error)
  await later
  return await outcome
}

describe.each([
  ['over a connection', createDom0],
  ['by commands', () => withoutConnection(createDom0())],
])('the backend of a disk, %s', (_, create) => {
  test('that is connected already is answered at once', async () => {
    const dom0 = create()
    addBackend(dom0)
    await succeed(createXenstore(dom0.host))
    const startedMs = dom0.host.clock.now()
    expect(await waitForBackend(disk, dom0)).toEqual(connected)
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(100)
    expect(await waitForBackend({ domid: 1, vdev: 51712, backendDomid: 7 }, dom0)).toEqual(connected)
  })

  test('is waited for, from before the toolstack makes it', async () => {
    const dom0 = create()
    const waiting = meanwhile(dom0, async xenstore => {
      addBackend(dom0)
      await dom0.host.clock.sleep(5000)
      await succeed(xenstore)
    })
    expect(await waiting).toEqual(connected)
    expect(dom0.host.clock.now()).toBeLessThan(7500)
  })

  test.each(['error', 'busy'])('whose script fails with %s is an error, in the words of the script', async status => {
    const dom0 = create()
    addBackend(dom0)
    const outcome = await meanwhile(dom0, async xenstore => await fail(xenstore, 'LUN 5 is not there', status))
    expect(outcome).toMatchObject({
      code: 'BACKEND_FAILED',
      message: `the hotplug script of ${path} failed: LUN 5 is not there`,
      details: { domid: 1, vdev: 'xvda', backendPath: path, status, reason: 'LUN 5 is not there' },
    })
  })

  test('may not send the reader of an error whatever it likes', async () => {
    const dom0 = create()
    addBackend(dom0)
    const hostile = `\u001b]0;pwned\u0007a\nb\u202e${'x'.repeat(3000)}`
    const outcome = await meanwhile(dom0, async xenstore => await fail(xenstore, hostile))
    expect(outcome).toMatchObject({ details: { reason: expect.stringMatching(/^\]0;pwned a b x{240,250}…$/) } })
    expect(String(outcome)).not.toMatch(/\p{C}/u)
  })

  test('is not connected without a device, and the timeout says how far it got', async () => {
    const dom0 = create()
    expect(await rejection(waitForBackend(disk, { ...dom0, timeoutMs: 2000 }))).toMatchObject({
      code: 'TIMEOUT',
      details: { awaited: 'the toolstack to give xvda of domain 1 a backend', timeoutMs: 2000 },
    })
    addBackend(dom0)
    const xenstore = createXenstore(dom0.host)
    for (const number of ['', '0:0', 'fd', 'fd:a:1', '/dev/sda', 'g:1']) {
      await xenstore.write({ [`${path}/hotplug-status`]: 'connected', [`${path}/physical-device`]: number })
      expect(await rejection(waitForBackend(disk, { ...dom0, timeoutMs: 500 }))).toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringContaining(`${path}, for xvda of domain 1: hotplug-status is connected`),
      })
    }
  })

  test('of a domain that is not there fails at once, and of one that ends', async () => {
    const dom0 = create()
    const startedMs = dom0.host.clock.now()
    expect(await rejection(waitForBackend({ domid: 9, vdev: 'xvda' }, dom0))).toMatchObject({
      code: 'BACKEND_GONE',
      details: { domid: 9, vdev: 'xvda', backendPath: undefined, reason: 'there is no such domain' },
    })
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(100)
    addBackend(dom0)
    const outcome = await meanwhile(dom0, () => dom0.xen.removeDomain(1))
    expect(outcome).toMatchObject({
      code: 'BACKEND_GONE',
      details: { backendPath: path, reason: 'the domain has ended' },
    })
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(2500)
  })

  test.each([
    ['toolstack', (backend: ReturnType<typeof addBackend>) => backend.remove()],
    ['driver domain', async (_backend: unknown, xenstore: Xenstore) => await xenstore.rm(path)],
  ])('that the %s takes away is gone', async (_who, remove) => {
    const dom0 = create()
    const backend = addBackend(dom0)
    const outcome = await meanwhile(dom0, async xenstore => await remove(backend, xenstore))
    expect(outcome).toMatchObject({ code: 'BACKEND_GONE', details: { reason: `${path} was removed` } })
  })

  test('is found by what the toolstack notes, whatever the guest says', async () => {
    const dom0 = create()
    addBackend(dom0)
    const xenstore = createXenstore(dom0.host)
    const frontend = '/local/domain/1/device/vbd/51712/backend'
    await xenstore.write({ [frontend]: '/local/domain/0/backend/vbd/0/51712' })
    await succeed(xenstore)
    expect(await waitForBackend(disk, dom0)).toEqual(connected)
    await xenstore.write({ '/libxl/1/device/vbd/51712/backend': '/local/domain/1/../x' })
    expect(await rejection(waitForBackend(disk, dom0))).toMatchObject({ code: 'XENSTORE_INVALID' })
  })

  test('of another domain than was asked for is refused', async () => {
    const dom0 = create()
    addBackend(dom0)
    expect(await rejection(waitForBackend({ ...disk, backendDomid: 0 }, dom0))).toMatchObject({
      code: 'INVALID_INPUT',
      details: { field: 'backendDomid' },
    })
  })

  test('is not waited for after an abort', async () => {
    const dom0 = create()
    const control = new AbortController()
    expect(await meanwhile(dom0, () => control.abort('enough'), { signal: control.signal })).toBe('enough')
    expect(dom0.host.clock.now()).toBeLessThan(1100)
  })

  test('is unknown while xenstored does not run', async () => {
    const dom0 = create()
    await dom0.daemons.xenstored.stop()
    expect(await rejection(waitForBackend(disk, dom0))).toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
  })
})

test('over a connection, nothing is asked while nothing changes, and no process is started', async () => {
  const dom0 = createDom0()
  addBackend(dom0)
  let asked = 0
  const outcome = rejection(waitForBackend(disk, { host: counting(dom0.host, () => asked++), timeoutMs: 40_000 }))
  await dom0.host.clock.sleep(1000)
  const before = asked
  await dom0.host.clock.sleep(30_000)
  expect([asked, dom0.started]).toEqual([before, []])
  expect(await outcome).toMatchObject({ code: 'TIMEOUT' })
})

test('a driver domain that writes all the time does not keep us busy', async () => {
  const dom0 = createDom0()
  const backend = addBackend(dom0)
  let asked = 0
  const outcome = rejection(waitForBackend(disk, { host: counting(dom0.host, () => asked++), timeoutMs: 500 }))
  for (let ms = 0; ms < 500; ms++) {
    backend.setState(ms % 2 === 0 ? 'InitWait' : 'Initialised')
    await dom0.host.clock.sleep(1)
  }
  expect(await outcome).toMatchObject({ code: 'TIMEOUT' })
  // Eight questions each 20 ms, at most.
  expect(asked).toBeLessThan(250)
})

test('xenstored that goes at whatever question, and is back after a while, has lost nothing', async () => {
  const seen: string[] = []
  for (let answered = 0; answered < 8; answered++) {
    const dom0 = createDom0()
    addBackend(dom0)
    let sent = 0
    const stop = (): void => {
      if (sent++ === answered) void dom0.daemons.xenstored.stop()
    }
    const outcome = waitForBackend(disk, { host: counting(dom0.host, stop) }).catch((error: unknown) => error)
    await dom0.host.clock.sleep(3000)
    await dom0.daemons.xenstored.start()
    await succeed(createXenstore(dom0.host))
    const { code } = (await outcome) as { code?: string }
    seen.push(code ?? 'connected')
  }
  expect(seen).toEqual(Array(8).fill('connected'))
})

test.each([
  [{ domid: -1, vdev: 'xvda' }, 'domid'],
  [{ domid: 32_752, vdev: 'xvda' }, 'domid'],
  [{ domid: 1, vdev: 'sdz' }, 'vdev'],
  [{ domid: 1, vdev: 'xvda', backendDomid: 0.5 }, 'backendDomid'],
])('%j is refused before anything is asked', async (request, field) => {
  const { host, started } = createDom0()
  const unasked: Host = { ...host, xenstoreConnect: async () => await Promise.reject(new Error('asked')) }
  expect(await rejection(waitForBackend(request, { host: unasked }))).toMatchObject({
    code: 'INVALID_INPUT',
    details: { field },
  })
  expect(started).toEqual([])
})

/** Counts the messages to xenstored. */
function counting(host: Host, count: () => void): Host {
  const { xenstoreConnect: connect } = host
  if (connect === undefined) throw new Error('there is no connection to xenstored')
  return {
    ...host,
    xenstoreConnect: async (...args) => {
      const channel = await connect(...args)
      const send = (message: Uint8Array): void => {
        count()
        channel.send(message)
      }
      return { ...channel, send }
    },
  }
}
