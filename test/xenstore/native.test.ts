import { getEventListeners } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { XenstoreConnect } from '../../src/host/byte-channel.ts'
import { createNodeClock } from '../../src/host/node-clock.ts'
import { createXenstoreModel } from '../../src/testing/dom0/xenstore.ts'
import { createXenstored } from '../../src/testing/dom0/xenstored.ts'
import type { XenstorePermissions } from '../../src/xenstore/permissions.ts'
import type { Xenstore } from '../../src/xenstore/types.ts'
import { createXenstore } from '../../src/xenstore/xenstore.ts'
import { createClient, createHost, executor, makeFolder, message, startDaemon, startServer } from './daemon.ts'

const UNAVAILABLE = { code: 'XENSTORE_UNAVAILABLE' }

const calls: readonly (readonly [string, (xenstore: Xenstore) => Promise<unknown>])[] = [
  ['read', async xenstore => await xenstore.read('a')],
  ['tryRead', async xenstore => await xenstore.tryRead('a')],
  ['readBytes', async xenstore => await xenstore.readBytes('a')],
  ['write', async xenstore => await xenstore.write({ a: '1' })],
  ['write of two', async xenstore => await xenstore.write({ a: '1', b: '2' })],
  ['mkdir', async xenstore => await xenstore.mkdir('a')],
  ['rm', async xenstore => await xenstore.rm('a')],
  ['list', async xenstore => await xenstore.list('a')],
  ['exists', async xenstore => await xenstore.exists('a')],
  ['getPermissions', async xenstore => await xenstore.getPermissions('a')],
  ['setPermissions', async xenstore => await xenstore.setPermissions('a', { owner: 0, others: 'none', access: {} })],
  ['transaction', async xenstore => await xenstore.transaction(async () => {})],
  ['watch', async xenstore => await xenstore.watch('a')[Symbol.asyncIterator]().next()],
]

describe('xenstored that is not there', () => {
  it.each(calls)('is unavailable, never "not found", to %s', async (_, call) => {
    await expect(call(createClient(join(makeFolder(), 'none')))).rejects.toMatchObject({
      ...UNAVAILABLE,
      details: { reason: expect.stringContaining('ENOENT') },
    })
  })

  it.each(calls)('when it goes in the middle of %s', async (_, call) => {
    const path = await startServer(socket => socket.on('data', () => socket.destroy()))
    await expect(call(createClient(path, { timeoutMs: 300 }))).rejects.toMatchObject(UNAVAILABLE)
  })

  it.each(calls)('when it never answers %s', async (_, call) => {
    const path = await startServer(() => {})
    await expect(call(createClient(path, { timeoutMs: 50 }))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('is found again when it is back', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    await xenstore.write({ a: '1' })
    await daemon.stop()
    await expect(xenstore.read('a')).rejects.toMatchObject(UNAVAILABLE)
    await daemon.start()
    expect(await xenstore.read('a')).toBe('1')
    expect(daemon.connections()).toBe(2)
  })
})

describe('garbage', () => {
  const answers: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['a message of 4097 bytes', socket => socket.write(message(2, 1, Buffer.alloc(4097)))],
    ['an answer to nobody', socket => socket.write(message(2, 99, 'x'))],
    ['an answer of another type', socket => socket.write(message(1, 1, 'x\0'))],
    ['an event of nothing', socket => socket.write(message(15, 0, ''))],
    ['half a message and the end', socket => socket.end(message(2, 1, 'abc').subarray(0, 17))],
    ['text', socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ]

  it.each(answers)('closes the connection: %s', async (_, answer) => {
    let closed = 0
    const path = await startServer(socket => {
      socket.on('data', () => answer(socket))
      socket.on('close', () => closed++)
    })
    // Not for being idle.
    await expect(createClient(path, { idleMs: 60_000 }).read('a')).rejects.toMatchObject(UNAVAILABLE)
    await expect.poll(() => closed).toBe(1)
  })

  it.each(['EWHATEVER\0', '', '\0', 'ENOSPC\0', 'no such thing\n'])('as an error is unavailable: %j', async name => {
    const path = await startServer(socket =>
      socket.on('data', bytes => socket.write(message(16, bytes.readUInt32LE(4), name)))
    )
    // One after the other: nobody would hear the second fail while the first is awaited.
    await expect(createClient(path).tryRead('a')).rejects.toMatchObject(UNAVAILABLE)
    await expect(createClient(path).exists('a')).rejects.toMatchObject(UNAVAILABLE)
  })

  it.each([
    ['ENOENT', 'XENSTORE_NOT_FOUND'],
    ['EACCES', 'XENSTORE_ACCESS_DENIED'],
    ['EPERM', 'XENSTORE_ACCESS_DENIED'],
    ['EINVAL', 'XENSTORE_INVALID'],
    ['EAGAIN', 'XENSTORE_CONFLICT'],
  ])('is none of it: %s', async (name, code) => {
    const path = await startServer(socket =>
      socket.on('data', bytes => socket.write(message(16, bytes.readUInt32LE(4), `${name}\0`)))
    )
    await expect(createClient(path).read('a')).rejects.toMatchObject({ code })
  })
})

describe('a channel that takes one message at a time', () => {
  it('is given the next when the last is answered, and what was aborted meanwhile never', async () => {
    const model = createXenstoreModel()
    const sent: number[] = []
    let unanswered = 0
    const xenstoreConnect: XenstoreConnect = async listener => {
      const session = createXenstored(model).connect({ onBytes: bytes => listener.onBytes(bytes), onClose: () => {} })
      const send = (message: Uint8Array): void => {
        sent.push(message[0] ?? 0)
        expect(unanswered++).toBe(0)
        setTimeout(() => {
          unanswered--
          session?.receive(message)
        }, 1)
      }
      return { maxMessageBytes: 4096, isOneByOne: true, send, setBusy: () => {}, close: () => {} }
    }
    const host = { executor, clock: createNodeClock(), xenstoreConnect }
    const xenstore = createXenstore(host, { transport: 'native', timeoutMs: 50 })
    const control = new AbortController()
    const values = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`/v/${n}`, String(n)]))
    const writing = xenstore.write(values)
    await expect.poll(() => sent).toContain(11)
    const aborted = xenstore.rm('/v', { signal: control.signal })
    setTimeout(() => control.abort('enough'), 3)
    await expect(aborted).rejects.toBe('enough')
    await writing
    expect(await xenstore.list('/v')).toHaveLength(60)
    expect(sent.filter(type => type === 13)).toEqual([])
  })

  it('fails what waits for it when it is lost', async () => {
    const xenstoreConnect: XenstoreConnect = async listener => {
      const send = (): void => void setTimeout(() => listener.onClose('gone'), 1)
      return { maxMessageBytes: 4096, isOneByOne: true, send, setBusy: () => {}, close: () => {} }
    }
    const host = { executor, clock: createNodeClock(), xenstoreConnect }
    const xenstore = createXenstore(host, { transport: 'native' })
    const results = await Promise.allSettled([xenstore.read('a'), xenstore.read('b'), xenstore.exists('c')])
    for (const result of results) expect(result).toMatchObject({ reason: UNAVAILABLE })
  })
})

describe('answers', () => {
  it('may come in any order, with events between them', async () => {
    const path = await startServer(socket =>
      socket.on('data', bytes => {
        const ids: number[] = []
        for (let at = 0; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 12)) ids.push(bytes.readUInt32LE(at + 4))
        for (const id of ids.toReversed()) {
          socket.write(message(15, 0, 'somewhere\0nobody\0'))
          socket.write(message(2, id, `value ${id}`))
        }
      })
    )
    const xenstore = createClient(path)
    const reads = [xenstore.read('a'), xenstore.read('b'), xenstore.read('c')]
    expect(await Promise.all(reads)).toEqual(['value 1', 'value 2', 'value 3'])
  })

  it('of requests made in one turn share a connection', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    await Promise.all(Array.from({ length: 20 }, async (_, n) => await xenstore.write({ [`a${n}`]: String(n) })))
    expect(daemon.connections()).toBe(1)
  })

  it('that say "forbidden" are told from those that say "not there"', async () => {
    const daemon = await startDaemon({ domid: 5 })
    daemon.model.write({ '/secret': 'x', '/shown': 'y' })
    daemon.model.view(0).setPermissions('/', ['r0'])
    daemon.model.view(0).setPermissions('/shown', ['n0', 'r5'])
    const xenstore = createClient(daemon.path)
    await expect(xenstore.read('/secret')).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    await expect(xenstore.exists('/secret')).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    await expect(xenstore.write({ '/shown': 'z' })).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    await expect(xenstore.rm('/shown')).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    await expect(xenstore.write({ '/shown': 'z', '/other': 'z' })).rejects.toMatchObject({
      code: 'XENSTORE_ACCESS_DENIED',
    })
    expect(await xenstore.read('/shown')).toBe('y')
    expect(await xenstore.exists('/none')).toBe(false)
  })
})

/** Each whole request, as `[type, id, strings]`. */
function requestsIn(bytes: Buffer): readonly (readonly [number, number, readonly string[]])[] {
  const found: (readonly [number, number, readonly string[]])[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 16 + bytes.readUInt32LE(at + 12)
    const strings = bytes.toString('utf8', at + 16, end).split('\0')
    found.push([bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), strings])
    at = end
  }
  return found
}

describe('a list in parts', () => {
  it('begins again when the node changes on the way', async () => {
    const parts = ['1\0a\0b\0', '2\0c\0\0', '2\0a\0x\0', '2\0c\0\0']
    const offsets: (string | undefined)[] = []
    const path = await startServer(socket =>
      socket.on('data', bytes => {
        for (const [type, id, [, offset]] of requestsIn(bytes)) {
          if (type === 1) socket.write(message(16, id, 'E2BIG\0'))
          else {
            offsets.push(offset)
            socket.write(message(22, id, parts[offsets.length - 1] ?? ''))
          }
        }
      })
    )
    expect(await createClient(path).list('/x')).toEqual(['a', 'x', 'c'])
    expect(offsets).toEqual(['0', '4', '0', '4'])
  })

  it.each([
    ['changes all the time', 'XENSTORE_CONFLICT', (n: number) => `${n}\0a\0`],
    ['never ends', 'XENSTORE_UNAVAILABLE', () => '1\0'],
  ])('is given up when it %s', async (_, code, part) => {
    let n = 0
    const path = await startServer(socket =>
      socket.on('data', bytes => {
        for (const [type, id] of requestsIn(bytes)) {
          socket.write(type === 1 ? message(16, id, 'E2BIG\0') : message(22, id, part(n++)))
        }
      })
    )
    await expect(createClient(path).list('/x')).rejects.toMatchObject({ code })
  })
})

describe('a message', () => {
  it('longer than the connection carries is refused here', async () => {
    const sent: Uint8Array[] = []
    const channel = {
      maxMessageBytes: 4096,
      isOneByOne: true,
      send: (bytes: Uint8Array) => sent.push(bytes),
      setBusy: () => {},
      close: () => {},
    }
    const host = { ...createHost('none'), xenstoreConnect: async () => channel }
    await using xenstore = createXenstore(host, { transport: 'native' })
    await expect(xenstore.write({ a: 'x'.repeat(4079) })).rejects.toMatchObject({ code: 'XENSTORE_INVALID' })
    const written = xenstore.write({ a: 'x'.repeat(4078) })
    await expect.poll(() => sent.map(({ length }) => length)).toEqual([4096])
    await xenstore.close()
    await expect(written).rejects.toMatchObject(UNAVAILABLE)
  })

  it.each([
    [{ owner: -1, others: 'none', access: {} }],
    [{ owner: 65_536, others: 'none', access: {} }],
    [{ owner: 0, others: 'all', access: {} }],
    [{ owner: 0, others: 'none', access: { x: 'read' } }],
    [{ owner: 0, others: 'none', access: { 1: 'toString' } }],
  ])('with permissions that are none is not sent: %j', async permissions => {
    const daemon = await startDaemon()
    const wrong = createClient(daemon.path).setPermissions('/', permissions as XenstorePermissions)
    await expect(wrong).rejects.toMatchObject({ code: 'XENSTORE_INVALID' })
    expect(daemon.requests).toEqual([])
  })
})

describe('an abort', () => {
  it('ends the wait with its reason, and the connection lives on', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    await xenstore.write({ a: '1' })
    const control = new AbortController()
    const reading = xenstore.read('a', { signal: control.signal })
    control.abort('changed my mind')
    await expect(reading).rejects.toBe('changed my mind')
    await expect(xenstore.read('a', { signal: control.signal })).rejects.toBe('changed my mind')
    expect(await xenstore.read('a')).toBe('1')
    expect(daemon.connections()).toBe(1)
  })

  it('leaves no listener behind', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const { signal } = new AbortController()
    await xenstore.write({ a: '1', b: '2' }, { signal })
    await xenstore.read('a', { signal })
    await xenstore.transaction(async tx => await tx.read('a', { signal }), { signal })
    const events = xenstore.watch('a', { signal })[Symbol.asyncIterator]()
    await events.next()
    await events.return?.()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('in a transaction ends it in xenstored too', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const control = new AbortController()
    const running = xenstore.transaction(async () => control.abort('enough'), { signal: control.signal })
    await expect(running).rejects.toBe('enough')
    expect(daemon.requests).toEqual([6, 7])
  })
})

describe('a connection', () => {
  it('that is idle closes itself, and is made anew', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path, { idleMs: 20 })
    await xenstore.write({ a: '1' })
    await expect.poll(() => daemon.openConnections()).toBe(0)
    expect(await xenstore.read('a')).toBe('1')
    expect(daemon.connections()).toBe(2)
  })

  it('is not idle within a transaction or while somebody watches', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path, { idleMs: 10 })
    const pause = async (): Promise<unknown> => await new Promise(resolve => setTimeout(resolve, 60))
    await xenstore.transaction(async tx => {
      await pause()
      await tx.write({ a: '1' })
    })
    const events = xenstore.watch('a')[Symbol.asyncIterator]()
    await events.next()
    await pause()
    expect(daemon.openConnections()).toBe(1)
    await events.return?.()
    await expect.poll(() => daemon.openConnections()).toBe(0)
  })

  it('is closed with all that is under way', async () => {
    const path = await startServer(() => {})
    const xenstore = createClient(path)
    const reading = xenstore.read('a')
    const watching = xenstore.watch('a')[Symbol.asyncIterator]().next()
    setTimeout(() => void xenstore.close(), 30)
    await expect(reading).rejects.toMatchObject(UNAVAILABLE)
    await expect(watching).resolves.toMatchObject({ done: true })
    await expect(xenstore.read('a')).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining('closed'),
    })
    await xenstore.close()
  })
})

describe('transport', () => {
  it('auto: the commands where there is no socket, the socket once it is there, and from then on', async () => {
    const daemon = await startDaemon()
    await daemon.stop()
    const ran: string[] = []
    const commands = {
      exec: async ({ file }: { readonly file: string }) => {
        ran.push(file)
        return { exitCode: 0, stdout: 'by the command\n', stderr: '' }
      },
    }
    await using xenstore = createXenstore({ ...createHost(daemon.path), executor: commands })
    expect(await xenstore.read('a')).toBe('by the command')
    await daemon.start()
    await xenstore.write({ a: 'over the socket' })
    expect(await xenstore.read('a')).toBe('over the socket')
    await daemon.stop()
    await expect(xenstore.read('a')).rejects.toMatchObject(UNAVAILABLE)
    expect(ran).toEqual(['xenstore-read'])
  })

  it('auto: the commands on a host without a connection', async () => {
    const xenstore = createXenstore({ executor })
    await expect(xenstore.read('a')).rejects.toThrow('no command is to be run')
  })

  it('commands: refuse all after close', async () => {
    const xenstore = createXenstore({ executor }, { transport: 'commands' })
    await xenstore.close()
    await expect(xenstore.read('a')).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining('closed'),
    })
  })

  it('native needs a connection', () => {
    expect(() => createXenstore({ executor }, { transport: 'native' })).toThrow(expect.objectContaining(UNAVAILABLE))
  })
})
