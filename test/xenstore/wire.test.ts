import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { createFrameDecoder, decodeStrings, encodeFrame, encodeStrings, type Frame } from '../../src/xenstore/wire.ts'

const word = fc.nat(0xffff_ffff)
const frames = fc.array(
  fc.record({
    type: word,
    requestId: word,
    transactionId: word,
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 4090, maxLength: 4096, size: 'max' })
    ),
  }),
  { maxLength: 8 }
)

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Cut at any places, also twice at the same. */
function cutAt(bytes: Uint8Array, places: readonly number[]): readonly Uint8Array[] {
  const cuts = [0, ...places.map(place => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, n) => bytes.subarray(cuts[n], end))
}

describe('a message', () => {
  it('is four words in the order of the machine, then its payload', () => {
    const bytes = encodeFrame({ type: 11, requestId: 0x0102_0304, transactionId: 5, payload: encodeStrings('a') })
    const words = new Uint32Array(Uint8Array.from(bytes.subarray(0, 16)).buffer)
    expect([...words]).toEqual([11, 0x0102_0304, 5, 2])
    expect([...bytes.subarray(16)]).toEqual([97, 0])
  })

  it('is the same however it is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 30 }), (sent, places) => {
        const decoder = createFrameDecoder()
        const received: Frame[] = []
        for (const piece of cutAt(joined(sent.map(encodeFrame)), places)) received.push(...decoder.push(piece))
        expect(received).toEqual(sent)
      })
    )
  })

  it('is the same byte by byte', () => {
    fc.assert(
      fc.property(frames, sent => {
        const decoder = createFrameDecoder()
        const bytes = joined(sent.slice(0, 2).map(encodeFrame))
        const received = [...bytes].flatMap(byte => decoder.push(Uint8Array.of(byte)))
        expect(received).toEqual(sent.slice(0, 2))
      }),
      { numRuns: 20 }
    )
  })

  it('is not touched when the buffer it came in is used again', () => {
    const decoder = createFrameDecoder()
    const bytes = encodeFrame({ type: 2, requestId: 1, transactionId: 0, payload: Uint8Array.of(1, 2, 3) })
    const [frame] = decoder.push(bytes)
    bytes.fill(0)
    expect([...(frame?.payload ?? [])]).toEqual([1, 2, 3])
  })

  it('that announces too much is refused at its header, whatever came before', () => {
    fc.assert(
      fc.property(frames, fc.integer({ min: 4097, max: 0xffff_ffff }), (sent, length) => {
        const head = new Uint8Array(Uint32Array.of(2, 1, 0, length).buffer)
        const decoder = createFrameDecoder()
        decoder.push(joined(sent.map(encodeFrame)))
        expect(() => decoder.push(head)).toThrow(expect.objectContaining({ code: 'XENSTORE_UNAVAILABLE' }))
      })
    )
  })

  it('of garbage is whole or refused', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 6 }), pieces => {
        const decoder = createFrameDecoder()
        try {
          for (const piece of pieces) {
            for (const { payload } of decoder.push(piece)) expect(payload.length).toBeLessThanOrEqual(4096)
          }
        } catch (error) {
          expect(isLunError(error, 'XENSTORE_UNAVAILABLE')).toBe(true)
        }
      })
    )
  })
})

describe('strings', () => {
  it.each([
    [[], ''],
    [['a'], 'a\0'],
    [[''], '\0'],
    [['a', '', 'b'], 'a\0\0b\0'],
  ])('%j are each followed by a NUL', (texts, payload) => {
    expect(Buffer.from(encodeStrings(...texts)).toString()).toBe(payload)
  })

  it('are read back', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter(each => !each.includes('\0'))
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), texts => {
        expect(decodeStrings(encodeStrings(...texts))).toEqual(texts)
      })
    )
  })

  it('may lack the last NUL, and may be none', () => {
    expect(decodeStrings(Buffer.from('a\0b'))).toEqual(['a', 'b'])
    expect(decodeStrings(new Uint8Array(0))).toEqual([])
  })
})
