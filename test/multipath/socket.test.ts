import { getEventListeners } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Command, CommandResult } from '../../src/host/command.ts'
import type { Executor } from '../../src/host/executor.ts'
import { createMultipathdSocket } from '../../src/host/multipathd-socket.ts'
import { createMultipath } from '../../src/multipath/multipath.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { printed } from './helpers.ts'

let folder = ''
let path = ''
const servers: Server[] = []
const sockets: Socket[] = []
let requests: string[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xen-lun-'))
  path = join(folder, 'multipathd.socket')
  requests = []
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(servers.splice(0).map(server => new Promise(resolve => server.close(resolve))))
  rmSync(folder, { recursive: true })
})

/** Starts a daemon; `answer` gets each complete request. */
async function listen(answer: (socket: Socket) => void, at = path): Promise<void> {
  const server = createServer(socket => {
    sockets.push(socket)
    let bytes = Buffer.alloc(0)
    socket.on('error', () => undefined)
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length < 8 || bytes.length < 8 + Number(bytes.readBigUInt64LE())) return
      requests.push(bytes.toString('utf8', 8))
      answer(socket)
    })
  })
  servers.push(server)
  await new Promise<void>(resolve => server.listen(at, resolve))
}

function frame(text: string, length = Buffer.byteLength(text) + 1): Buffer {
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(length))
  return Buffer.concat([head, Buffer.from(`${text}\0`)])
}

interface Spy extends Executor {
  readonly calls: string[]
}

function inner(): Spy {
  const calls: string[] = []
  return {
    calls,
    exec: async ({ file, args }): Promise<CommandResult> => {
      calls.push([file, ...args].join(' '))
      return { exitCode: 3, stdout: 'by the command', stderr: '' }
    },
  }
}

function daemon(args: readonly string[], timeoutMs?: number): Command<void> {
  return { file: 'multipathd', args, decode: () => undefined, ...(timeoutMs !== undefined && { timeoutMs }) }
}

describe('words to multipathd', () => {
  it('go over its socket, without the command', async () => {
    await listen(socket => socket.end(frame('ok\n')))
    const commands = inner()
    const executor = createMultipathdSocket(commands, { paths: [path] })
    expect(await executor.exec(daemon(['add', 'path', 'sda']))).toEqual({ exitCode: 0, stdout: 'ok\n', stderr: '' })
    expect(requests).toEqual(['add path sda\0'])
    expect(commands.calls).toEqual([])
  })

  it('go over an abstract socket', async () => {
    const name = `\0xen-lun-test-${process.pid}`
    await listen(socket => socket.end(frame('ok\n')), name)
    const executor = createMultipathdSocket(inner(), { paths: [path, name] })
    expect(await executor.exec(daemon(['show', 'daemon']))).toMatchObject({ stdout: 'ok\n' })
  })

  it.each([
    [['show', 'paths', 'raw', 'format', '%w %d'], 'show paths raw format "%w %d"\0'],
    [['show', 'paths', 'raw', 'format', '%w|%d'], 'show paths raw format %w|%d\0'],
    [['del', 'map', 'a b'], 'del map "a b"\0'],
  ])('are quoted like by the command: %j', async (args, expected) => {
    await listen(socket => socket.end(frame('ok\n')))
    await createMultipathdSocket(inner(), { paths: [path] }).exec(daemon(args))
    expect(requests).toEqual([expected])
  })

  it('go to the command where nobody listens', async () => {
    const commands = inner()
    const executor = createMultipathdSocket(commands, { paths: [path, join(folder, 'none')] })
    expect(await executor.exec(daemon(['show', 'maps', 'json']))).toMatchObject({ stdout: 'by the command' })
    expect(commands.calls).toEqual(['multipathd show maps json'])
  })

  it('are words: other commands, and multipathd without any, run as they are', async () => {
    await listen(socket => socket.end(frame('ok\n')))
    const commands = inner()
    const executor = createMultipathdSocket(commands, { paths: [path] })
    await executor.exec({ file: 'multipath', args: ['-f', 'x'], decode: () => undefined })
    await executor.exec(daemon([]))
    expect(commands.calls).toEqual(['multipath -f x', 'multipathd'])
    expect(requests).toEqual([])
  })
})

describe('the answer', () => {
  it.each([
    ['fail\n', { exitCode: 1, stdout: 'fail\n' }],
    ['fail\nmap or partition in use\n', { exitCode: 1, stdout: 'map or partition in use\n' }],
    ['timeout\n', { exitCode: 0, stdout: 'timeout\n' }],
    ['', { exitCode: 0, stdout: '' }],
    ['ü€\n', { exitCode: 0, stdout: 'ü€\n' }],
  ])('means what the command makes of it: %j', async (text, expected) => {
    await listen(socket => socket.end(frame(text)))
    expect(await createMultipathdSocket(inner(), { paths: [path] }).exec(daemon(['show']))).toMatchObject(expected)
  })

  it('may come byte by byte', async () => {
    await listen(socket => {
      const bytes = frame('ok ü\n')
      let n = 0
      const next = (): void => {
        if (n >= bytes.length) return
        socket.write(bytes.subarray(n, ++n), () => setImmediate(next))
      }
      next()
    })
    expect(await createMultipathdSocket(inner(), { paths: [path] }).exec(daemon(['show']))).toMatchObject({
      stdout: 'ok ü\n',
    })
  })

  it('may be long', async () => {
    const text = 'x'.repeat(3_000_000)
    await listen(socket => socket.write(frame(text)))
    const { stdout } = await createMultipathdSocket(inner(), { paths: [path] }).exec(daemon(['show']))
    expect(stdout === text).toBe(true)
  })

  it.each([0n, 16n * 1024n * 1024n + 1n, 2n ** 64n - 1n])('of %d bytes is refused', async length => {
    const head = Buffer.alloc(8)
    head.writeBigUInt64LE(length)
    await listen(socket => socket.write(head))
    await expect(createMultipathdSocket(inner(), { paths: [path] }).exec(daemon(['show']))).rejects.toMatchObject({
      code: 'UNEXPECTED_OUTPUT',
      details: { tool: 'multipathd', text: `an answer of ${length} bytes` },
    })
  })

  it.each([
    ['at once', (socket: Socket) => socket.end()],
    ['in the length', (socket: Socket) => socket.end(Buffer.alloc(3, 1))],
    ['in the text', (socket: Socket) => socket.end(frame('ok\n', 100))],
  ])('that ends %s is none, and nothing is sent twice', async (_, answer) => {
    await listen(answer)
    const commands = inner()
    const executor = createMultipathdSocket(commands, { paths: [path, path] })
    expect(await executor.exec(daemon(['del', 'map', 'x']))).toEqual({
      exitCode: 1,
      stdout: 'error -5 receiving packet\n',
      stderr: '',
    })
    expect(requests).toEqual(['del map x\0'])
    expect(commands.calls).toEqual([])
  })

  it('that is a reset is none', async () => {
    // A socket closed with bytes unread resets the connection.
    const server = createServer({ pauseOnConnect: true }, socket => socket.destroy())
    servers.push(server)
    await new Promise<void>(resolve => server.listen(path, resolve))
    const commands = inner()
    const { stdout } = await createMultipathdSocket(commands, { paths: [path] }).exec(daemon(['show']))
    expect(stdout).toBe('error -5 receiving packet\n')
    expect(commands.calls).toEqual([])
  })

  it('is awaited no longer than the command may take', async () => {
    await listen(() => undefined)
    const executor = createMultipathdSocket(inner(), { paths: [path] })
    await expect(executor.exec(daemon(['show', 'maps'], 20))).rejects.toMatchObject({
      code: 'COMMAND_TIMEOUT',
      details: { command: 'multipathd show maps', timeoutMs: 20 },
    })
  })
})

describe('an abort', () => {
  it('ends the wait with its reason, whatever that is', async () => {
    const control = new AbortController()
    await listen(() => control.abort('changed my mind'))
    const executor = createMultipathdSocket(inner(), { paths: [path] })
    await expect(executor.exec(daemon(['show']), { signal: control.signal })).rejects.toBe('changed my mind')
  })

  it('that came before sends nothing', async () => {
    await listen(socket => socket.end(frame('ok\n')))
    const commands = inner()
    const reason = new Error('too late')
    const call = createMultipathdSocket(commands, { paths: [path] }).exec(daemon(['show']), {
      signal: AbortSignal.abort(reason),
    })
    await expect(call).rejects.toBe(reason)
    expect([requests, commands.calls]).toEqual([[], []])
  })

  it('leaves no listener and no socket behind', async () => {
    await listen(socket => socket.write(frame('ok\n')))
    const { signal } = new AbortController()
    const executor = createMultipathdSocket(inner(), { paths: [path] })
    for (let n = 0; n < 5; n++) await executor.exec(daemon(['show']), { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await expect.poll(() => sockets.every(socket => socket.readableEnded || socket.destroyed)).toBe(true)
    expect(sockets).toHaveLength(5)
  })
})

it('lets createMultipath work over the socket', async () => {
  await listen(socket => socket.end(frame(printed('maps'))))
  const executor = createMultipathdSocket(inner(), { paths: [path] })
  const multipath = createMultipath({ executor, files: createMemoryFiles(), clock: createFakeClock() })
  expect(await multipath.maps()).toMatchObject([{ device: 'dm-0', activePaths: 2 }])
})
