import assert from 'node:assert/strict'
import type { Xenstore } from 'xen-lun'

/** A way to read a value, and how long one read took. */
export interface SpeedRow {
  readonly name: string
  readonly eachUs: number
  /** Times as long as the first row. */
  readonly ratio: number
}

export interface SpeedOptions {
  readonly path: string
  readonly reads: number
  readonly forks: number
  /** Reads the same value, or does as much as can be done here, by a process. */
  readonly fork: () => Promise<unknown>
  readonly forked: string
}

const MICROSECONDS = 1000

/** What counts are the ratios: they belong to one run. Every answer is compared with the first. */
export async function compareSpeed(
  native: Xenstore,
  { path, reads, forks, fork, forked }: SpeedOptions
): Promise<readonly SpeedRow[]> {
  const expected = await native.read(path)
  const read = async (): Promise<void> => assert.equal(await native.read(path), expected)
  await oneByOne(reads, read) // warm
  const ways = [
    { name: `${reads} reads at once, native`, count: reads, run: atOnce, work: read },
    { name: `${reads} reads one by one, native`, count: reads, run: oneByOne, work: read },
    { name: `${forks} times ${forked}, one by one`, count: forks, run: oneByOne, work: fork },
  ]
  const rows: { name: string; eachUs: number }[] = []
  for (const { name, count, run, work } of ways) {
    const startedMs = performance.now()
    await run(count, work)
    rows.push({ name, eachUs: ((performance.now() - startedMs) * MICROSECONDS) / count })
  }
  const [first = { eachUs: Number.NaN }] = rows
  return rows.map(row => ({ ...row, ratio: row.eachUs / first.eachUs }))
}

export function formatSpeed({ name, eachUs, ratio }: SpeedRow): string {
  return `${name.padEnd(46)} ${eachUs.toFixed(1).padStart(9)} µs each  ${ratio.toFixed(1).padStart(6)} x`
}

async function oneByOne(count: number, work: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n++) await work()
}

async function atOnce(count: number, work: () => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: count }, work))
}
