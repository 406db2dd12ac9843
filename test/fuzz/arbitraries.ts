import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { vi } from 'vitest'
import { parseCassette, type Recording } from '../../src/testing/cassette.ts'

const { FUZZ_RUNS = '200', FUZZ_SEED } = process.env

/** Tries per property; `FUZZ_RUNS` and `FUZZ_SEED` in the environment ask for more, and for the same ones again. */
export const RUNS = Number(FUZZ_RUNS)

fc.configureGlobal({ numRuns: RUNS, ...(FUZZ_SEED !== undefined && { seed: Number(FUZZ_SEED) }) })
vi.setConfig({ testTimeout: 20_000 + 100 * RUNS }) // shrinking takes its time

const FIXTURES = new URL('../fixtures/', import.meta.url)

/** A file below test/fixtures. */
export function fixture(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8')
}

/** Every cassette below test/fixtures. */
export const CASSETTES: readonly string[] = readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.txt'))
  .toSorted()
  .map(fixture)

const RECORDINGS: readonly Recording[] = CASSETTES.flatMap(text => parseCassette(text))

/** What the real tools printed when they were asked so and did not fail. */
export function printed(command: RegExp): readonly string[] {
  const answers = RECORDINGS.filter(recording => recording.exitCode === 0 && command.test(recording.command))
  return [...new Set(answers.map(({ stdout }) => stdout))].filter(stdout => stdout !== '')
}

const place = fc.noBias(fc.nat(1_000_000))

const SURROGATES = 0x800

/** Any character. The `binary` of fast-check takes a second to set up. */
export const character: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: 0x10ffff - SURROGATES })
  .map(code => String.fromCodePoint(code < 0xd800 ? code : code + SURROGATES))

/** Bytes as a tool that lost its mind would print them, and any other characters. */
export const noise: fc.Arbitrary<string> = fc.oneof(
  fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes).toString('latin1')),
  fc.string({ unit: character, maxLength: 12 }),
  fc.constantFrom('\0', '\r', '\r\n', '\n', ' ', '\t', '\u00a0', '\u2028', '\ufeff', '\ud83d', '"', '\\', ',', '|', '=')
)

const ODD_NUMBERS = [
  '9'.repeat(20),
  '9'.repeat(400),
  '18446744073709551615',
  '4294967296',
  '65536',
  '-1',
  '007',
  '1e999',
  '',
]

/** Numbers as text: those a tool prints, and those JavaScript cannot hold. */
export const numeral: fc.Arbitrary<string> = fc.oneof(
  fc.nat().map(String),
  fc.bigInt({ min: 0n, max: 2n ** 70n }).map(String),
  fc.constantFrom(...ODD_NUMBERS)
)

type Mutation = (text: string) => string

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  place.map(
    (at): Mutation =>
      text =>
        text.slice(0, within(text, at))
  ),
  fc.tuple(place, fc.nat(30)).map(
    ([at, length]): Mutation =>
      text =>
        spliced(text, within(text, at), length, '')
  ),
  fc.tuple(place, noise).map(
    ([at, by]): Mutation =>
      text =>
        spliced(text, within(text, at), 0, by)
  ),
  fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(
    ([at, bits]): Mutation =>
      text =>
        flipped(text, at, bits)
  ),
  fc.tuple(place, fc.constantFrom(...ODD_NUMBERS)).map(
    ([at, by]): Mutation =>
      text =>
        renumbered(text, at, by)
  ),
  place.map((at): Mutation => inLines((lines, n) => lines.toSpliced(n, 1), at)),
  place.map((at): Mutation => inLines((lines, n) => lines.toSpliced(n, 0, lines[n] ?? ''), at)),
  fc.tuple(place, place).map(([at, other]): Mutation => inLines((lines, n) => swapped(lines, n, other), at))
)

function within(text: string, at: number): number {
  return at % (text.length + 1)
}

function spliced(text: string, at: number, length: number, by: string): string {
  return `${text.slice(0, at)}${by}${text.slice(at + length)}`
}

function flipped(text: string, place: number, bits: number): string {
  const at = within(text, place)
  return at === text.length ? text : spliced(text, at, 1, String.fromCharCode(text.charCodeAt(at) ^ bits))
}

function renumbered(text: string, at: number, by: string): string {
  const numbers = [...text.matchAll(/\d+/g)]
  const number = numbers[at % Math.max(numbers.length, 1)]
  return number === undefined ? text : spliced(text, number.index, number[0].length, by)
}

const VALUES = [...ODD_NUMBERS, ' ', '..', '1.5', 'x', '""', 'null', '<empty>']

/** `text` with each thing `pattern` finds in it replaced by each of some values. */
export function* revalued(text: string, pattern: RegExp): Generator<string> {
  for (const found of text.matchAll(pattern)) {
    for (const value of VALUES) yield spliced(text, found.index, found[0].length, value)
  }
}

function inLines(change: (lines: readonly string[], n: number) => readonly string[], at: number): Mutation {
  return text => {
    const lines = text.split('\n')
    return change(lines, at % lines.length).join('\n')
  }
}

function swapped(lines: readonly string[], n: number, other: number): readonly string[] {
  const m = other % lines.length
  return lines.with(n, lines[m] ?? '').with(m, lines[n] ?? '')
}

/** One of `captures`, damaged once or a few times. */
export function damaged(captures: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...captures), fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([capture, mutations]) => mutations.reduce((text, mutate) => mutate(text), capture))
}

/** One of `texts`, and a part of it from its start. */
export function cut(texts: fc.Arbitrary<string>): fc.Arbitrary<readonly [whole: string, part: string]> {
  return fc.tuple(texts, place).map(([text, at]) => [text, text.slice(0, within(text, at))] as const)
}

/** Anything: bytes, letters of the captures in any order, lines of the captures mixed with lines of noise. */
export function garbage(captures: readonly string[]): fc.Arbitrary<string> {
  const letters = [...new Set(captures.join('')), '\n', '\r', '\0', ' ', 'é', '\u2028']
  const lines = [...new Set(captures.flatMap(capture => capture.split('\n')))]
  return fc.oneof(
    fc.string({ unit: character, maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes).toString('latin1')),
    fc.string({ unit: fc.constantFrom(...letters), maxLength: 200 }),
    fc.array(fc.oneof(fc.constantFrom(...lines), noise), { maxLength: 20 }).map(all => all.join('\n'))
  )
}

const MEGABYTE = 1_000_000
const NESTED = 100_000

/** `unit` again and again, a megabyte of it. */
export function megabyteOf(unit: string): string {
  return unit.repeat(Math.ceil(MEGABYTE / unit.length))
}

/** The same bytes in every run: what took long has to take long again. */
function randomBytes(): Buffer {
  let state = 0x2545f491
  return Buffer.from(
    Uint8Array.from({ length: MEGABYTE }, () => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return state & 0xff
    })
  )
}

/** What no parser may hang on, by name. */
export const MEGABYTES: readonly (readonly [string, string])[] = [
  ['random bytes', randomBytes().toString('latin1')],
  ['random lines of letters', randomBytes().toString('base64').replaceAll('z', '\n')],
  ...['x', ' ', '\n', '\\'].map(unit => [`only ${JSON.stringify(unit)}`, megabyteOf(unit)] as const),
  ['open brackets', '['.repeat(NESTED)],
  ['nested arrays', `${'['.repeat(NESTED)}${']'.repeat(NESTED)}`],
  ['nested objects', `${'{"maps":'.repeat(NESTED)}0${'}'.repeat(NESTED)}`],
]

/** Where to swell a text: by a megabyte of `unit`, or of one of its own lines. */
export interface Swelling {
  readonly capture: number
  readonly at: number
  readonly unit: string | undefined
}

export const swelling: fc.Arbitrary<Swelling> = fc.record({
  capture: fc.nat(1000),
  at: place,
  unit: fc.constantFrom(undefined, undefined, undefined, 'x', '0', ' ', '\t', '"', '\\', ',', '[', '=', ' x', '\r'),
})

/** One of `captures` with one line repeated, or one place of it stretched, to a megabyte. */
export function swell(captures: readonly string[], { capture, at, unit }: Swelling): string {
  const text = captures[capture % captures.length] ?? ''
  if (unit !== undefined) return spliced(text, within(text, at), 0, megabyteOf(unit))
  return inLines((lines, n) => [...lines.slice(0, n), ...copies(lines[n]), ...lines.slice(n + 1)], at)(text)
}

function copies(line = ''): readonly string[] {
  return megabyteOf(`${line}\n`).split('\n').slice(0, -1)
}
