import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, isLunError } from '../../src/core/error.ts'
import { cut, damaged, garbage, MEGABYTES, RUNS, revalued, swell, swelling } from './arbitraries.ts'
import { ensure, ensureFilled, ensureInteger } from './checks.ts'

/** Something that reads text nobody vouches for. */
export interface Reader<T> {
  readonly read: (text: string) => T | Promise<T>
  /** Fails on an answer that is not whole. */
  readonly check: (answer: T) => void
  /** The errors it may answer with instead. */
  readonly refusals: readonly ErrorCode[]
  /** What it reads in real life. */
  readonly captures: readonly string[]
  /** What it lists: a listing that was cut has to hold items of the whole one only. */
  readonly items?: (answer: T) => readonly unknown[]
  /** Finds the values in it. */
  readonly values?: RegExp
  /** Texts that are long where its patterns look twice. */
  readonly long?: readonly string[]
}

/** How long reading a megabyte may take. */
export const LIMIT_MS = 1000
const SHORT_CHARS = 300
const MAX_MESSAGE_CHARS = 3000

/** The properties every reader has. */
export function testReader<T>(name: string, reader: Reader<T>): void {
  describe(`a reader of ${name}`, () => {
    testAnswers(reader)
    if (reader.values !== undefined) testValues(reader, reader.values)
    if (reader.items !== undefined) testCuts(reader, reader.items)
    testSpeed(reader)
  })
}

function testAnswers<T>(reader: Reader<T>): void {
  const { captures } = reader

  it.each(captures.map(text => [text.slice(0, 40), text]))('reads the real thing: %j', async (_, text) => {
    expect(await outcome(reader, text)).toMatchObject({ isRefused: false })
  })

  it('answers wholly or refuses, whatever it is given', async () => {
    await fc.assert(fc.asyncProperty(garbage(captures), async text => void (await outcome(reader, text))))
  })

  it('answers wholly or refuses when the real thing is damaged', async () => {
    await fc.assert(fc.asyncProperty(damaged(captures), async text => void (await outcome(reader, text))))
  })
}

function testValues<T>(reader: Reader<T>, values: RegExp): void {
  it('answers wholly or refuses when any value is another', async () => {
    const long = reader.captures.find(text => text.length >= SHORT_CHARS)
    for (const capture of reader.captures.filter(text => text.length < SHORT_CHARS || text === long)) {
      for (const text of revalued(capture, values)) {
        expect((await outcome(reader, text)).ms).toBeLessThan(LIMIT_MS)
      }
    }
  })
}

function testCuts<T>(reader: Reader<T>, items: (answer: T) => readonly unknown[]): void {
  it('lists of a cut text only what the whole one lists', async () => {
    const texts = fc.oneof(fc.constantFrom(...reader.captures), damaged(reader.captures))
    await fc.assert(
      fc.asyncProperty(cut(texts), async ([whole, part]) => {
        const [all, some] = [await outcome(reader, whole), await outcome(reader, part)]
        if (all.isRefused || some.isRefused) return
        const known = items(all.answer)
        const strange = items(some.answer).filter(item => !known.some(other => isDeepStrictEqual(other, item)))
        expect(strange).toEqual([])
      })
    )
  })
}

function testSpeed<T>(reader: Reader<T>): void {
  const long = (reader.long ?? []).map(text => [JSON.stringify(text.slice(0, 40)), text] as const)

  it.each([...MEGABYTES, ...long])('ends within a second: %s', async (_, text) => {
    expect((await outcome(reader, text)).ms).toBeLessThan(LIMIT_MS)
  })

  it('ends within a second when the real thing is swollen', async () => {
    await fc.assert(
      fc.asyncProperty(swelling, async by => {
        expect((await outcome(reader, swell(reader.captures, by))).ms).toBeLessThan(LIMIT_MS)
      }),
      { numRuns: Math.ceil(RUNS / 40) }
    )
  })
}

/** What became of a text, and how long that took. */
export type Outcome<T> =
  | { readonly ms: number; readonly isRefused: false; readonly answer: T }
  | { readonly ms: number; readonly isRefused: true }

/** Reads a text; fails where the answer is not whole, or the refusal is none of those allowed. */
export async function outcome<T>(
  { read, check, refusals }: Pick<Reader<T>, 'read' | 'check' | 'refusals'>,
  text: string
): Promise<Outcome<T>> {
  const timer = startTimer()
  const [done] = await Promise.allSettled([(async () => await read(text))()])
  const ms = timer()
  if (done.status === 'fulfilled') {
    check(done.value)
    return { ms, isRefused: false, answer: done.value }
  }
  ensureRefusal(done.reason, refusals, text)
  return { ms, isRefused: true }
}

// By the clock or by the processor, whichever is less: neither a busy machine nor a collection of garbage is a hang.
function startTimer(): () => number {
  const [start, before] = [performance.now(), process.cpuUsage()]
  return () => {
    const { user, system } = process.cpuUsage(before)
    return Math.min(performance.now() - start, (user + system) / 1000)
  }
}

function ensureRefusal(error: unknown, codes: readonly ErrorCode[], text: string): void {
  if (!isLunError(error) || !codes.includes(error.code)) throw error
  ensure(error.message !== '' && error.message.length <= MAX_MESSAGE_CHARS, 'is no message', error.message)
  if (error.code === 'UNEXPECTED_OUTPUT') {
    ensureFilled(error.details.tool, 'tool')
    ensureInteger(error.details.line, 'line', 1, text.split('\n').length)
    ensure(error.details.text.length <= 200, 'shows too much', error.details.text)
  }
  if (error.code === 'INVALID_INPUT') {
    ensureFilled(error.details.field, 'field')
    ensureFilled(error.details.reason, 'reason')
  }
}
