import { expect, test } from 'vitest'
import { DEFAULT_SETTINGS, readSettings } from '../../src/hotplug/settings.ts'
import { createMemoryFiles } from '../support/memory-files.ts'

const read = async (text: string) => await readSettings(createMemoryFiles({ files: { '/etc/xen-lun.json': text } }))

test('without a file, and without a member, there are defaults', async () => {
  const defaults = { timeoutMs: undefined, minPaths: 1, lingerMs: 0, lateMs: 120_000 }
  expect(await readSettings(createMemoryFiles())).toEqual(defaults)
  expect(DEFAULT_SETTINGS).toEqual(defaults)
  expect(await read('{}')).toEqual(defaults)
  expect(await read('{ "lingerMs": 60000 }')).toEqual({ ...defaults, lingerMs: 60_000 })
})

test.each([
  { timeoutMs: 2000, minPaths: 1, lingerMs: 0, lateMs: 0 },
  { timeoutMs: 38_000, minPaths: 64, lingerMs: 3_600_000, lateMs: 3_600_000 },
])('%j', async settings => {
  expect(await read(JSON.stringify(settings))).toEqual(settings)
})

test.each([
  ['', 'is not valid JSON'],
  ['{ "timeoutMs": 20000, }', 'is not valid JSON'],
  ['[]', 'is not a JSON object'],
  ['null', 'is not a JSON object'],
  ['{ "timeoutMS": 20000 }', 'timeoutMS'],
  ['{ "timeoutMs": 1999 }', 'timeoutMs'],
  // libxl kills it after 40 s.
  ['{ "timeoutMs": 38001 }', 'timeoutMs'],
  ['{ "timeoutMs": "20000" }', 'timeoutMs'],
  ['{ "timeoutMs": null }', 'timeoutMs'],
  ['{ "minPaths": 0 }', 'minPaths'],
  ['{ "minPaths": 1.5 }', 'minPaths'],
  ['{ "lingerMs": -1 }', 'lingerMs'],
  ['{ "lingerMs": 3600001 }', 'lingerMs'],
  ['{ "lateMs": true }', 'lateMs'],
])('%s is refused by name', async (text, reason) => {
  await expect(read(text)).rejects.toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  await expect(read(text)).rejects.toThrow(reason)
})
