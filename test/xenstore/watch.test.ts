import { describe, expect, it } from 'vitest'
import type { XenstoreEvent } from '../../src/xenstore/types.ts'
import { createClient, message, startDaemon, startServer } from './daemon.ts'

type Events = AsyncIterator<XenstoreEvent>

async function pathOf(events: Events): Promise<string | undefined> {
  const result = await events.next()
  return result.done === true ? undefined : result.value.path
}

describe('a watch', () => {
  it('is one of a loop, and ends with it', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const seen: string[] = []
    for await (const { path } of xenstore.watch('a')) {
      seen.push(path)
      if (seen.length === 2) break
      daemon.model.write({ '/local/domain/0/a/b': '1' })
    }
    expect(seen).toEqual(['a', 'a/b'])
    expect(await xenstore.exists('a')).toBe(true)
    expect(daemon.requests).toEqual([4, 5, 2])
  })

  it('reports equal events that wait as one, and others each', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const events = xenstore.watch('/x')[Symbol.asyncIterator]()
    expect(await pathOf(events)).toBe('/x')
    for (const path of ['/x/a', '/x/b', '/x/a', '/x/a']) daemon.model.write({ [path]: '1' })
    await xenstore.exists('/x') // what came before has come
    expect([await pathOf(events), await pathOf(events)]).toEqual(['/x/a', '/x/b'])
    daemon.model.write({ '/x/c': '1' })
    expect(await pathOf(events)).toBe('/x/c')
  })

  it('holds no more than a thousand events', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const events = xenstore.watch('/x')[Symbol.asyncIterator]()
    await events.next()
    for (let n = 0; n < 1001; n++) daemon.model.write({ [`/x/${n}`]: '' })
    daemon.model.write({ '/x/last': '' })
    await xenstore.exists('/x')
    expect([await pathOf(events), await pathOf(events)]).toEqual(['/x', '/x/last'])
  })

  it('is back after xenstored was away, with a fresh event', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const [first, second] = [xenstore.watch('/x')[Symbol.asyncIterator](), xenstore.watch('/y')[Symbol.asyncIterator]()]
    expect([await pathOf(first), await pathOf(second)]).toEqual(['/x', '/y'])
    const next = Promise.all([pathOf(first), pathOf(second)])
    await daemon.stop()
    daemon.model.write({ '/x/missed': '1' })
    await new Promise(resolve => setTimeout(resolve, 50))
    await daemon.start()
    expect(await next).toEqual(['/x', '/y'])
    daemon.model.write({ '/x/heard': '1' })
    expect(await pathOf(first)).toBe('/x/heard')
    expect(daemon.connections()).toBe(2)
  })

  it('that is refused by name when it comes back fails, and no other one does', async () => {
    let connections = 0
    const path = await startServer(socket => {
      connections++
      socket.on('data', bytes => {
        for (let at = 0; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 12)) {
          const [watched = '', token = ''] = bytes.toString('utf8', at + 16).split('\0')
          const isRefused = connections > 1 && watched === '/y'
          const id = bytes.readUInt32LE(at + 4)
          socket.write(isRefused ? message(16, id, 'EACCES\0') : message(4, id, 'OK\0'))
          if (!isRefused) socket.write(message(15, 0, `${watched}\0${token}\0`))
          if (connections === 1 && watched === '/y') setTimeout(() => socket.destroy(), 20)
        }
      })
    })
    const xenstore = createClient(path)
    const [first, second] = [xenstore.watch('/x')[Symbol.asyncIterator](), xenstore.watch('/y')[Symbol.asyncIterator]()]
    expect([await pathOf(first), await pathOf(second)]).toEqual(['/x', '/y'])
    const [nextOfFirst, nextOfSecond] = [pathOf(first), pathOf(second)]
    await expect(nextOfSecond).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    expect(await nextOfFirst).toBe('/x')
  })

  it('that is refused does not keep the connection', async () => {
    let closed = 0
    const path = await startServer(socket => {
      socket.on('close', () => closed++)
      socket.on('data', bytes => socket.write(message(16, bytes.readUInt32LE(4), 'EACCES\0')))
    })
    const events = createClient(path, { idleMs: 30 }).watch('/x')[Symbol.asyncIterator]()
    await expect(events.next()).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
    await expect.poll(() => closed).toBe(1)
  })

  it('is answered by the kernel without the number of the request', async () => {
    const path = await startServer(socket =>
      socket.on('data', bytes => {
        for (let at = 0; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 12)) {
          const [watched = '', token = ''] = bytes.toString('utf8', at + 16).split('\0')
          socket.write(message(bytes.readUInt32LE(at), 0, 'OK\0'))
          socket.write(message(15, 0, `${watched}\0${token}\0`))
        }
      })
    )
    const xenstore = createClient(path)
    const [first, second] = [xenstore.watch('/x')[Symbol.asyncIterator](), xenstore.watch('/y')[Symbol.asyncIterator]()]
    expect(await Promise.all([pathOf(first), pathOf(second)])).toEqual(['/x', '/y'])
    await first.return?.()
    expect(await pathOf(xenstore.watch('/z')[Symbol.asyncIterator]())).toBe('/z')
  })

  it('fails when xenstored stays away', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path, { timeoutMs: 100 })
    const events = xenstore.watch('/x')[Symbol.asyncIterator]()
    await events.next()
    const next = events.next()
    await daemon.stop()
    await expect(next).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
    expect(await pathOf(events)).toBeUndefined()
  })

  it('ends while somebody waits for the next event: by return, and by close', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const [first, second] = [xenstore.watch('/x')[Symbol.asyncIterator](), xenstore.watch('/x')[Symbol.asyncIterator]()]
    expect([await pathOf(first), await pathOf(second)]).toEqual(['/x', '/x'])
    const [nextOfFirst, nextOfSecond] = [pathOf(first), pathOf(second)]
    await first.return?.()
    expect(await nextOfFirst).toBeUndefined()
    await xenstore.close()
    expect(await nextOfSecond).toBeUndefined()
  })

  it('that was aborted before it began sends nothing', async () => {
    const daemon = await startDaemon()
    const events = createClient(daemon.path).watch('/x', { signal: AbortSignal.abort() })[Symbol.asyncIterator]()
    expect(await pathOf(events)).toBeUndefined()
    expect(daemon.connections()).toBe(0)
  })

  it('that is given up before xenstored has answered is taken back', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const events = xenstore.watch('/x')[Symbol.asyncIterator]()
    const next = pathOf(events)
    await events.return?.()
    expect(await next).toBeUndefined()
    await expect.poll(() => daemon.requests).toEqual([4, 5])
  })

  it('of a path that is none is refused at once', async () => {
    const daemon = await startDaemon()
    expect(() => createClient(daemon.path).watch('a.b')).toThrow(expect.objectContaining({ code: 'XENSTORE_INVALID' }))
  })

  it('may be one of domains that come and go', async () => {
    const daemon = await startDaemon()
    const events = createClient(daemon.path).watch('@releaseDomain')[Symbol.asyncIterator]()
    expect(await pathOf(events)).toBe('@releaseDomain')
  })
})

describe('a transaction', () => {
  it('that meets others again and again is given up, and ended each time', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    let runs = 0
    const running = xenstore.transaction(async tx => {
      await tx.read('/local/domain/0/name')
      daemon.model.write({ '/local/domain/0/name': String(++runs) })
    })
    await expect(running).rejects.toMatchObject({
      code: 'XENSTORE_CONFLICT',
      details: { path: '/local/domain/0/name' },
    })
    expect(runs).toBe(30)
    expect(daemon.requests.filter(type => type === 7)).toHaveLength(30)
  })

  it('is not repeated for what the callback throws, even a conflict', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    let runs = 0
    const running = xenstore.transaction(async tx => {
      runs++
      await tx.read('none')
    })
    await expect(running).rejects.toMatchObject({ code: 'XENSTORE_NOT_FOUND' })
    expect([runs, daemon.requests]).toEqual([1, [6, 2, 7]])
  })

  it('that is aborted is ended at once, whatever its task waits for', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const control = new AbortController()
    const reason = new Error('enough')
    let late: Promise<unknown> = Promise.resolve()
    const running = xenstore.transaction(
      async tx => {
        await tx.write({ a: '1' })
        setTimeout(() => control.abort(reason), 10)
        await new Promise(resolve => setTimeout(resolve, 100))
        late = tx.write({ b: '1' })
        await late
      },
      { signal: control.signal }
    )
    await expect(running).rejects.toBe(reason)
    expect(daemon.requests).toEqual([6, 11, 7])
    await expect
      .poll(async () => await late.catch((error: unknown) => error))
      .toMatchObject({ code: 'XENSTORE_INVALID' })
    expect(await xenstore.exists('a')).toBe(false)
  })

  it('is gone with its connection', async () => {
    const daemon = await startDaemon()
    const xenstore = createClient(daemon.path)
    const running = xenstore.transaction(async tx => {
      await tx.write({ a: '1' })
      await daemon.stop()
      await daemon.start()
      await tx.write({ b: '1' })
    })
    await expect(running).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
    expect(await xenstore.exists('a')).toBe(false)
  })
})
