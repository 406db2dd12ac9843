import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLocalHost } from '../../src/host/local.ts'
import { createXenstoreConnection } from '../../src/host/xenstore-connection.ts'
import { openXenstoreDevice } from '../../src/host/xenstore-device.ts'
import { makeFolder, startDaemon, startServer } from '../xenstore/daemon.ts'

const IDLE_MS = 60_000
const deaf = { onBytes: () => {}, onClose: () => {} }

afterEach(() => vi.unstubAllEnvs())

/** A pipe that gives back what it is given: like the device, it is read and written by one descriptor. */
function makePipe(): string {
  const path = join(makeFolder(), 'pipe')
  execFileSync('mkfifo', [path])
  return path
}

describe('the way to xenstored', () => {
  it('is $XENSTORED_PATH, or else $XENSTORED_RUNDIR/socket', async () => {
    const [first, second] = [await startDaemon(), await startDaemon()]
    vi.stubEnv('XENSTORED_RUNDIR', second.path.slice(0, -'/socket'.length))
    ;(await createXenstoreConnection()(deaf)).close()
    await expect.poll(() => [first.connections(), second.connections()]).toEqual([0, 1])
    vi.stubEnv('XENSTORED_PATH', first.path)
    ;(await createXenstoreConnection()(deaf)).close()
    await expect.poll(() => [first.connections(), second.connections()]).toEqual([1, 1])
  })

  it('goes past sockets nobody listens on, and past devices unless they will do', async () => {
    const daemon = await startDaemon()
    const dead = await startDaemon()
    await dead.stop()
    const paths = [join(makeFolder(), 'none'), dead.path, makePipe(), daemon.path]
    const channel = await createXenstoreConnection({ paths })(deaf)
    await expect.poll(() => daemon.connections()).toBe(1)
    expect(channel.maxMessageBytes).toBe(4112)
    channel.close()
    const device = await createXenstoreConnection({ paths })(deaf, { allowDevice: true })
    expect(device.maxMessageBytes).toBe(4096)
    device.close()
    expect(daemon.connections()).toBe(1)
  })

  it('that leads nowhere says where it looked', async () => {
    const paths = [join(makeFolder(), 'none'), makePipe()]
    await expect(createXenstoreConnection({ paths })(deaf)).rejects.toMatchObject({
      code: 'XENSTORE_UNAVAILABLE',
      details: { reason: expect.stringMatching(/none.*pipe: is no socket/s) },
    })
  })

  it('is not taken after an abort', async () => {
    const path = await startServer(() => {})
    const signal = AbortSignal.abort('enough')
    await expect(createXenstoreConnection({ paths: [path] })(deaf, { signal })).rejects.toBe('enough')
  })
})

it('is offered by this machine, but not with another executor', () => {
  const { executor } = createLocalHost()
  expect(createLocalHost().xenstoreConnect).toBeTypeOf('function')
  expect(createLocalHost({ executor }).xenstoreConnect).toBeUndefined()
  const xenstoreConnect = createXenstoreConnection()
  expect(createLocalHost({ executor, xenstoreConnect }).xenstoreConnect).toBe(xenstoreConnect)
})

it('keeps no process alive while nothing is awaited', async () => {
  const { path } = await startDaemon()
  const main = `
    import { createLocalHost, createXenstore } from 'xen-lun'
    console.log(await createXenstore(createLocalHost(), { transport: 'native' }).read('name'))
    process.on('exit', () => console.log(Math.round(performance.now() - begun) < 500))
    const begun = performance.now()`
  const file = join(makeFolder(), 'main.ts')
  writeFileSync(file, main)
  const { stdout } = await execa('node', ['scripts/run.mjs', file], { env: { XENSTORED_PATH: path } })
  expect(stdout).toBe('Domain-0\ntrue')
})

describe('a device', () => {
  it('carries messages both ways, in their order, however many', async () => {
    const received: number[] = []
    const channel = await openXenstoreDevice(
      makePipe(),
      { ...deaf, onBytes: bytes => received.push(...bytes) },
      IDLE_MS
    )
    for (let n = 0; n < 50; n++) channel.send(Uint8Array.of(n))
    await expect.poll(() => received).toEqual(Array.from({ length: 50 }, (_, n) => n))
    channel.setBusy(false)
    channel.send(Uint8Array.of(50))
    await expect.poll(() => received.at(-1)).toBe(50)
    channel.close()
  })

  it('closes at once though nothing comes, and is heard of no more', async () => {
    const heard: unknown[] = []
    const path = makePipe()
    const channel = await openXenstoreDevice(
      path,
      {
        onBytes: bytes => heard.push(bytes),
        onClose: reason => heard.push(reason),
      },
      IDLE_MS
    )
    channel.close()
    channel.close()
    channel.send(Uint8Array.of(1))
    const other = await openXenstoreDevice(path, deaf, IDLE_MS)
    other.send(Uint8Array.of(2))
    await new Promise(resolve => setTimeout(resolve, 30))
    other.close()
    expect(heard).toEqual([])
  })

  it('that is idle closes itself, and not before', async () => {
    const reasons: string[] = []
    const channel = await openXenstoreDevice(makePipe(), { ...deaf, onClose: reason => reasons.push(reason) }, 30)
    channel.setBusy(false)
    channel.setBusy(true)
    await new Promise(resolve => setTimeout(resolve, 60))
    expect(reasons).toEqual([])
    channel.setBusy(false)
    await expect.poll(() => reasons).toEqual([expect.stringContaining('idle')])
  })

  it('that fails says why, once', async () => {
    const reasons: string[] = []
    const channel = await openXenstoreDevice(
      '/dev/full',
      {
        ...deaf,
        onBytes: () => {},
        onClose: reason => reasons.push(reason),
      },
      IDLE_MS
    )
    channel.send(Uint8Array.of(1))
    channel.send(Uint8Array.of(2))
    await expect.poll(() => reasons).toEqual([expect.stringContaining('ENOSPC')])
  })
})
