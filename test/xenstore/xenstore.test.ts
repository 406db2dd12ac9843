import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLunError, LunError } from '../../src/core/error.ts'
import type { Executor } from '../../src/host/executor.ts'
import { parseCassette, type Recording } from '../../src/testing/cassette.ts'
import { createReplayExecutor, type ReplayExecutor } from '../../src/testing/replay.ts'
import type { Xenstore } from '../../src/xenstore/types.ts'
import { createXenstore } from '../../src/xenstore/xenstore.ts'

function cassette(name: string): readonly Recording[] {
  return parseCassette(readFileSync(new URL(`../fixtures/xenstore/${name}.txt`, import.meta.url), 'utf8'))
}

function replay(recordings: readonly Recording[]): { readonly xenstore: Xenstore; readonly executor: ReplayExecutor } {
  const executor = createReplayExecutor(recordings)
  return { xenstore: createXenstore({ executor }), executor }
}

const PATH = 'backend/vbd/1/51712'

describe('xenstore', () => {
  it('is read, written, listed and removed', async () => {
    const { xenstore, executor } = replay(cassette('xenstore'))
    await xenstore.write({ [`${PATH}/params`]: 'target=iqn.2001-05.com.equallogic:0-8a0906-vm1,lun=0' })
    expect(await xenstore.read(`${PATH}/params`)).toBe('target=iqn.2001-05.com.equallogic:0-8a0906-vm1,lun=0')
    await xenstore.write({ [`${PATH}/physical-device`]: 'fe:0', [`${PATH}/hotplug-status`]: 'connected' })
    expect(await xenstore.list(PATH)).toEqual(['hotplug-status', 'params', 'physical-device'])
    expect(await xenstore.list(`${PATH}/hotplug-status`)).toEqual([])
    expect(await xenstore.exists(PATH)).toBe(true)
    await xenstore.rm(`${PATH}/params`)
    expect(executor.calls).toContain(`xenstore-write -- ${PATH}/physical-device fe:0 ${PATH}/hotplug-status connected`)
  })

  it('keeps values exact: dashes, backslashes, letters of the world, nothing', async () => {
    const { xenstore } = replay(cassette('xenstore'))
    await xenstore.write({ note: '-5 a\\b é' })
    expect(await xenstore.read('note')).toBe('-5 a\\b é')
    await xenstore.write({ empty: '' })
    expect(await xenstore.read('empty')).toBe('')
    expect(await xenstore.tryRead('empty')).toBe('')
  })

  it('tells what is not there', async () => {
    const { xenstore } = replay(cassette('xenstore'))
    expect(await xenstore.exists('backend/vbd/9')).toBe(false)
    expect(await xenstore.tryRead('backend/vbd/9/params')).toBeUndefined()
    await expect(xenstore.read('backend/vbd/9/params')).rejects.toMatchObject({
      code: 'XENSTORE_NOT_FOUND',
      details: { path: 'backend/vbd/9/params' },
    })
    await expect(xenstore.list('backend/vbd/9')).rejects.toMatchObject({ code: 'XENSTORE_NOT_FOUND' })
  })

  it('is content when what it should remove has no parent either', async () => {
    const { xenstore, executor } = replay(cassette('xenstore'))
    await xenstore.rm('backend/vbd/9/51712/params')
    expect(executor.calls.at(-1)).toBe('xenstore-exists -- backend/vbd/9/51712/params')
  })

  it('writes nothing when there is nothing to write', async () => {
    const { xenstore, executor } = replay([])
    await xenstore.write({})
    expect(executor.calls).toEqual([])
  })
})

describe('xenstored that refuses', () => {
  it('denied a change', async () => {
    const { xenstore } = replay([...cassette('xenstore-refusing'), says('xenstore-exists -- secret', 0)])
    await expect(xenstore.write({ secret: '1' })).rejects.toMatchObject({
      code: 'XENSTORE_ACCESS_DENIED',
      details: { path: 'secret' },
    })
    await expect(xenstore.rm('secret')).rejects.toMatchObject({ code: 'XENSTORE_ACCESS_DENIED' })
  })
})

function says(command: string, exitCode: number, stderr = '', stdout = ''): Recording {
  return { command, exitCode, stdout, stderr }
}

const calls: readonly (readonly [string, (xenstore: Xenstore) => Promise<unknown>])[] = [
  ['read', xenstore => xenstore.read('domid')],
  ['tryRead', xenstore => xenstore.tryRead('domid')],
  ['list', xenstore => xenstore.list('backend')],
  ['exists', xenstore => xenstore.exists('domid')],
  ['rm', xenstore => xenstore.rm('a')],
  ['write', xenstore => xenstore.write({ a: '1' })],
]

describe('xenstored that does not answer', () => {
  it.each(calls)('is unavailable to %s', async (_, call) => {
    await expect(call(replay(cassette('xenstore-down')).xenstore)).rejects.toMatchObject({
      code: 'XENSTORE_UNAVAILABLE',
      details: { reason: expect.stringContaining('xs_open: No such file or directory') },
    })
  })

  it.each([
    "xenstore-read: couldn't read path domid\nxenstore-read: couldn't end transaction",
    "xenstore-read: couldn't start transaction",
    'xenstore-read: something new',
    'Segmentation fault',
    '',
  ])('is unavailable, never "not found", when it says %j', async stderr => {
    const { xenstore } = replay([says('xenstore-read -- domid', 1, stderr)])
    await expect(xenstore.tryRead('domid')).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE' })
  })

  it.each([
    new LunError('COMMAND_TIMEOUT', 'no answer', { command: 'xenstore-read -- domid', timeoutMs: 10_000 }),
    new LunError('COMMAND_NOT_FOUND', 'not installed', { file: 'xenstore-read' }),
    new LunError('COMMAND_KILLED', 'killed', { command: 'xenstore-read -- domid', signal: 'SIGKILL' }),
  ])('is unavailable after %s', async error => {
    const xenstore = createXenstore({ executor: { exec: async () => await Promise.reject(error) } })
    for (const [, call] of calls) {
      await expect(call(xenstore)).rejects.toMatchObject({ code: 'XENSTORE_UNAVAILABLE', cause: error })
    }
  })

  it('is not waited for longer than 10 s', async () => {
    const limits: unknown[] = []
    const executor: Executor = {
      exec: async ({ timeoutMs }) => {
        limits.push(timeoutMs)
        return { exitCode: 0, stdout: '', stderr: '' }
      },
    }
    for (const [, call] of calls) await call(createXenstore({ executor }))
    expect(limits).toEqual(calls.map(() => 10_000))
  })

  it('is not asked after an abort', async () => {
    const reason = new Error('enough')
    const { xenstore, executor } = replay([])
    await expect(xenstore.read('domid', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(executor.calls).toEqual([])
  })
})

describe('input', () => {
  it.each([
    '',
    'a b',
    'a.b',
    'iqn.2001-05.com.x:y',
    'a//b',
    'a/',
    '//',
    'a\nb',
    'a\0b',
    'ä',
    'x'.repeat(2049),
    `/${'x'.repeat(3072)}`,
  ])('that is no path runs nothing: %j', async path => {
    const { xenstore, executor } = replay([])
    const each = [
      xenstore.read(path),
      xenstore.tryRead(path),
      xenstore.list(path),
      xenstore.exists(path),
      xenstore.rm(path),
      xenstore.write({ good: '1', [path]: '1' }),
    ]
    for (const call of each) await expect(call).rejects.toMatchObject({ code: 'XENSTORE_INVALID' })
    expect(executor.calls).toEqual([])
  })

  it.each(['/', '/tool', '-R', '@releaseDomain', 'a/b_c-D/0', 'x'.repeat(2048), `/${'x'.repeat(3071)}`])(
    'may be the path %j',
    async path => {
      const { xenstore } = replay([says(`xenstore-exists -- ${path}`, 0)])
      expect(await xenstore.exists(path)).toBe(true)
    }
  )

  it.each([
    ['a NUL', 'a\0b'],
    ['half a character', 'a\ud83d'],
    ['4097 bytes with its path', 'x'.repeat(4092)],
    ['4098 bytes in fewer characters', 'é'.repeat(2046) + 'y'],
  ])('with %s runs nothing', async (_, value) => {
    const { xenstore, executor } = replay([])
    await expect(xenstore.write({ path: value })).rejects.toMatchObject({ code: 'XENSTORE_INVALID' })
    expect(executor.calls).toEqual([])
  })

  it('may fill a message of 4096 bytes', async () => {
    const value = 'x'.repeat(4091)
    const { xenstore, executor } = replay([says(`xenstore-write -- path ${value}`, 0)])
    await xenstore.write({ path: value })
    expect(executor.unused()).toEqual([])
  })
})

/** The tools and xenstored in one: argv and output as seen with Xen 4.20. */
function createFakeTools(): Executor {
  const stored = new Map<string, Buffer>()
  return {
    exec: async ({ file, args: [, path = '', value = ''] }) => {
      if (file === 'xenstore-write') stored.set(path, Buffer.from(value.replaceAll(/\\(.)/gs, '$1')))
      const output = [...(stored.get(path) ?? [])].map(byte => escapeByte(byte)).join('')
      return { exitCode: 0, stdout: file === 'xenstore-read' ? `${output}\n` : '', stderr: '' }
    },
  }
}

function escapeByte(byte: number): string {
  const letters = new Map([
    [9, '\\t'],
    [10, '\\n'],
    [13, '\\r'],
    [92, '\\\\'],
  ])
  const letter = letters.get(byte)
  if (letter !== undefined) return letter
  if (byte >= 0x20 && byte <= 0x7e) return String.fromCharCode(byte)
  return byte < 8 ? `\\${byte.toString(8).padStart(3, '0')}` : `\\x${byte.toString(16).padStart(2, '0')}`
}

describe('any value', () => {
  it('is read as it was written', async () => {
    const xenstore = createXenstore({ executor: createFakeTools() })
    const value = fc.string({ unit: 'binary', maxLength: 500 }).filter(text => !text.includes('\0'))
    await fc.assert(
      fc.asyncProperty(fc.oneof(value, fc.stringMatching(/^[\\nxt0-9"]*$/)), async text => {
        await xenstore.write({ key: text })
        expect(await xenstore.read('key')).toBe(text)
      })
    )
  })

  it('that is printed wrongly causes no other error', async () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\\x0-9a-fn]*$/))
    await fc.assert(
      fc.asyncProperty(text, fc.string(), fc.integer({ min: 0, max: 2 }), async (stdout, stderr, exitCode) => {
        const xenstore = createXenstore({ executor: { exec: async () => ({ stdout, stderr, exitCode }) } })
        for (const [, call] of calls) {
          await call(xenstore).catch((error: unknown) => {
            expect(isLunError(error)).toBe(true)
            expect(isLunError(error, 'XENSTORE_NOT_FOUND')).toBe(false)
          })
        }
      })
    )
  })
})
