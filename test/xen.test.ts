import { access, readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { scenarios } from './scenarios/index.ts'

const root = new URL('../', import.meta.url)
const text = async (path: string): Promise<string> => await readFile(new URL(path, root), 'utf8')
const rows = (await text('docs/xen.md'))
  .split('\n')
  .filter(line => /^\| \d+ \|/.test(line))
  .map(line => line.split('|').map(cell => cell.trim()))
const quoted = (cell = ''): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1] ?? '')
const range = (first: number, last: number): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, n) => first + n)

async function isThere(path: string): Promise<boolean> {
  return await access(new URL(path, root)).then(
    () => true,
    () => false
  )
}

/** Scenarios of the simulation, of the lab's one machine, and of its three. */
async function scenarioNames(): Promise<ReadonlySet<string>> {
  const folders = ['lab/scenarios/', 'lab/hosts/scenarios/']
  const files = await Promise.all(
    folders.map(async folder => (await readdir(new URL(folder, root))).map(name => `${folder}${name}`))
  )
  const sources = await Promise.all(files.flat().map(text))
  const inLab = sources.flatMap(source =>
    [...source.matchAll(/\bname: '([^']+)',\s+about:/g)].map(([, name = '']) => name)
  )
  return new Set([...scenarios.map(({ name }) => name), ...inLab])
}

test('docs/xen.md answers every requirement of a block script, once', () => {
  expect(rows.map(cells => Number(cells[1]))).toEqual([...range(1, 18), ...range(39, 63)])
  for (const [, number, done = '', where, proof] of rows) {
    expect([number, done.length > 10, quoted(where).length > 0, quoted(proof).length > 0]).toEqual([
      number,
      true,
      true,
      true,
    ])
  }
})

test('docs/xen.md names sources and proofs that exist', async () => {
  const names = await scenarioNames()
  const found = await Promise.all(
    rows.flatMap(([, number, , where, proof]) =>
      [...quoted(where), ...quoted(proof)].map(async name =>
        (name.includes('/') ? await isThere(name) : names.has(name)) ? [] : [`${number}: ${name}`]
      )
    )
  )
  expect(found.flat()).toEqual([])
})

test('docs/xen.md has the settings as they are', async () => {
  const document = await text('docs/xen.md')
  const { DEFAULT_SETTINGS } = await import('../src/hotplug/settings.ts')
  for (const [name, value] of Object.entries(DEFAULT_SETTINGS)) {
    expect(document).toContain(`| \`${name}\` | ${value ?? 'see below'} |`)
  }
})
