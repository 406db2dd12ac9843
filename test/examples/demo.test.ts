import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { demo } from '../../examples/demo/demo.ts'

async function outputOf(run: typeof demo): Promise<string> {
  const lines: string[] = []
  await run(line => lines.push(line))
  return lines.map(line => `${line}\n`).join('')
}

test('the demo prints what README.md shows, every time', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const [, shown] = /^```text\n(.*?)^```$/ms.exec(readme) ?? []
  expect(await outputOf(demo)).toBe(shown)
  expect(await outputOf(demo)).toBe(shown)
})
