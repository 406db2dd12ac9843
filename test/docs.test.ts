import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

async function text(path: string): Promise<string> {
  return await readFile(new URL(`../${path}`, import.meta.url), 'utf8')
}

test('docs/errors.md explains every error code, and no other', async () => {
  const source = await text('src/core/error-details.ts')
  const codes = [...source.slice(source.indexOf('interface ErrorDetails')).matchAll(/^ {2}([A-Z_]+):/gm)].map(m => m[1])
  const explained = [...(await text('docs/errors.md')).matchAll(/^\| `([A-Z_]+)` \|/gm)].map(m => m[1])
  expect(explained).toEqual(codes)
})
