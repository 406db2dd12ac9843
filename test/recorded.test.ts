import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseCassette } from '../src/testing/cassette.ts'
import { createReplayExecutor } from '../src/testing/replay.ts'
import { createFakeClock } from './support/fake-clock.ts'
import { createFakeLocks } from './support/fake-locks.ts'
import { createMemoryFiles } from './support/memory-files.ts'
import { createTools, outcomeOf, type Take } from './takes/take.ts'
import * as takes from './takes/takes.ts'

// `npm run lab:record` makes these from the real tools; playing them back must come to the same answers and errors.
const folder = new URL('fixtures/recorded/', import.meta.url)
const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8')

const { wwid, disk }: { wwid: string; disk: string } = JSON.parse(text('subject.json'))
const all: readonly Take[] = [
  ...takes.beforeLogin,
  ...takes.wrongSecret,
  ...takes.portalCut,
  ...takes.login,
  ...takes.mapped(wwid, disk),
  ...takes.busy(wwid),
  ...takes.afterwards(wwid),
  ...takes.daemonsDown,
]

describe('what the real tools answered comes to the same outcome', () => {
  test.each(all.map(take => [take.name, take] as const))('%s', async (name, take) => {
    const executor = createReplayExecutor(parseCassette(text(`${name}.txt`)))
    const host = { executor, files: createMemoryFiles(), clock: createFakeClock(), locks: createFakeLocks() }
    expect(await outcomeOf(take, createTools(host))).toBe(text(`${name}.json`))
    expect(executor.unused()).toEqual([])
  })
})
