import { access, readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { scenarios } from './scenarios/index.ts'

const root = new URL('../', import.meta.url)
const text = async (path: string): Promise<string> => await readFile(new URL(path, root), 'utf8')
const document = await text('docs/safety.md')
const rows = document
  .split('\n')
  .filter(line => /^\| [LR]\d/.test(line))
  .map(line => line.split('|').map(cell => cell.trim()))

/** What stands in backquotes in a column. */
const quoted = (column: number): readonly string[] => [
  ...new Set(rows.flatMap(cells => [...(cells[column] ?? '').matchAll(/`([^`]+)`/g)].map(match => match[1] ?? ''))),
]

async function missing(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map(async path => {
      const isThere = await access(new URL(path, root)).then(
        () => true,
        () => false
      )
      return isThere ? [] : [path]
    })
  )
  return found.flat()
}

async function scenarioNames(): Promise<ReadonlySet<string>> {
  const files = await readdir(new URL('lab/scenarios/', root))
  const texts = await Promise.all(files.map(async file => await text(`lab/scenarios/${file}`)))
  // A scenario's name stands above what it is about.
  const inLab = texts.flatMap(source =>
    [...source.matchAll(/\bname: '([^']+)',\s+about:/g)].map(match => match[1] ?? '')
  )
  return new Set([...scenarios.map(({ name }) => name), ...inLab])
}

test('docs/safety.md has a source and a proof in every row, all of which exist', async () => {
  for (const [, number, requirement = '', where, proof] of rows) {
    expect([number, requirement.length > 10, where?.startsWith('`'), proof?.startsWith('`')]).toEqual([
      number,
      true,
      true,
      true,
    ])
  }
  expect(await missing(quoted(3))).toEqual([])
  const proofs = quoted(4)
  const names = await scenarioNames()
  expect(names.size).toBeGreaterThan(scenarios.length)
  expect(await missing(proofs.filter(proof => proof.includes('/')))).toEqual([])
  expect(proofs.filter(proof => !proof.includes('/') && !names.has(proof))).toEqual([])
})

test('docs/safety.md answers every lesson and requirement, once', () => {
  const range = (letter: string, first: number, last: number): readonly string[] =>
    Array.from({ length: last - first + 1 }, (_, n) => `${letter}${first + n}`)
  const listed = [...document.matchAll(/^- ([LR]\d+):/gm)].map(match => match[1] ?? '')
  const answered = [...rows.map(cells => cells[1] ?? ''), ...listed]
  expect(answered.filter((number, n) => answered.indexOf(number) !== n)).toEqual([])
  expect(new Set(answered)).toEqual(
    new Set([...range('L', 1, 112), ...range('R', 19, 38), 'R55', ...range('R', 57, 68)])
  )
})

test('docs/safety.md says that two hosts are not kept apart', () => {
  expect(document).toContain('Two hosts are not kept apart')
})
